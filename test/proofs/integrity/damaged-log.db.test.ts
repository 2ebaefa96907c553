import { beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import type { Problem } from '../../../src/proofs/integrity/problem.ts'
import { insertEmptyFlushes, readKeyIndex } from '../../support/events.ts'
import { useDatabase } from '../../support/server.ts'
import { unlockLog } from './corruptions/make.ts'
import { verify } from './history.ts'

// Damage to whole rows that only the owner of the database can do.

const database = useDatabase()

beforeAll(() => unlockLog(database.owner))
// Four full tiles, whose roots are level 1, and a partial one. Level 2 needs 65,536 events.
beforeEach(() => fill(1_200))

/** Empties the log and appends this number of events. */
async function fill(events: number): Promise<void> {
  const { owner } = database
  await owner`delete from events`
  await owner`delete from tiles`
  await insertEmptyFlushes(owner, 0, events)
}

async function findProblems(): Promise<Problem[]> {
  const { first } = await verify(database)
  // No service has folded projections here.
  return first.filter(({ check }) => check !== 'checkpoints')
}

/** Returns the reported places, each with the check that reports it. */
const findPlaces = async () => placesOf(await findProblems())
const placesOf = (problems: Problem[]) => problems.map(({ check, at }) => `${at} (${check})`)

async function integrate(): Promise<void> {
  const { owner } = database
  while ((await owner`select integrate_events(0, 5000) as added`)[0]!.added > 0);
}

/** Makes three levels of tiles in an empty log, with leaves that have no events. */
async function makeLevels(): Promise<void> {
  const { owner } = database
  await owner`delete from events`
  await owner`
    insert into tiles (shard, level, number, hashes)
    select 0, 0, n, decode(repeat(encode(sha256(n::text::bytea), 'hex'), 256), 'hex')
    from generate_series(0, 256) n`
  await owner`
    insert into tiles (shard, level, number, hashes)
    select 0, 1, t.number / 256, string_agg(tile_root(t.hashes), '' order by t.number)
    from tiles t
    where t.level = 0
    group by t.number / 256`
  await owner`
    insert into tiles (shard, level, number, hashes)
    select 0, 2, 0, tile_root(t.hashes) from tiles t where t.level = 1 and t.number = 0`
}

/** Returns the reported tiles above level 0, or their levels. */
async function findTiles(): Promise<string[]> {
  const tiles = (await findProblems()).filter(({ check }) => check === 'tiles')
  return tiles.map(({ at }) => at).filter((at) => !at.startsWith('tiles 0/0/'))
}

test('an intact log has no problem', async () => {
  await integrate()
  expect(await findPlaces()).toEqual([])
})

test('a gap is reported at its first position, however many chunks it spans', async () => {
  await fill(12_000)
  await integrate()
  await database.owner`delete from events where position between 4000 and 11000`
  const problems = await findProblems()
  expect(placesOf(problems)).toEqual(['0/4000 (position)'])
  expect(problems).toMatchSnapshot()
})

test('a missing beginning of the log is reported', async () => {
  await integrate()
  await database.owner`delete from events where position < 3`
  expect(await findPlaces()).toEqual(['0/0 (position)'])
})

test('a missing end of the log is reported because of its leaves', async () => {
  await integrate()
  await database.owner`delete from events where position > 600`
  const problems = await findProblems()
  expect(placesOf(problems)).toEqual([
    'tiles 0/0/2 (tiles)',
    'tiles 0/0/3 (tiles)',
    'tiles 0/0/4 (tiles)',
  ])
  expect(problems).toMatchSnapshot()
})

test('a missing tile is reported', async () => {
  await integrate()
  await database.owner`delete from tiles where number = 2`
  expect((await findPlaces())[0]).toBe('tiles 0/0/3 (tiles)')
})

describe('above level 0', () => {
  test('roots missing from the end of level 1, or all of them, are no problem', async () => {
    await integrate()
    await database.owner`
      update tiles set hashes = substring(hashes for 32 * 3) where level = 1`
    expect(await findPlaces()).toEqual([])
    await database.owner`delete from tiles where level = 1`
    expect(await findPlaces()).toEqual([])
  })

  test('a root without a full tile is reported', async () => {
    await integrate()
    await database.owner`update tiles set hashes = hashes || sha256('x') where level = 1`
    expect(await findPlaces()).toEqual(['tiles 0/1/0 (tiles)'])
  })

  test('a root that does not match its tile is reported', async () => {
    await integrate()
    await database.owner`
      update tiles set hashes = substring(hashes for 64) || substring(hashes from 33 for 32)
        || substring(hashes from 97) where level = 1`
    const [row] = await database.owner<{ root: string }[]>`
      select encode(substring(hashes from 33 for 32), 'hex') as root from tiles where level = 1`
    const problems = await findProblems()
    expect(placesOf(problems)).toEqual(['tiles 0/1/0 (tiles)'])
    expect(problems[0]!.found).toBe(row!.root)
  })

  test('a missing tile or level is reported, unless all levels above 0 are missing', async () => {
    await makeLevels()
    expect(await findTiles()).toEqual([])
    await database.owner`delete from tiles where level = 2`
    expect(await findTiles()).toEqual(['tiles 0/2'])
    await database.owner`delete from tiles where level = 1 and number = 0`
    expect(await findTiles()).toEqual(['tiles 0/1/1'])
    await database.owner`delete from tiles where level = 1`
    expect(await findTiles()).toEqual([])
  })

  test('a root of roots that does not match its tile is reported', async () => {
    await makeLevels()
    await database.owner`
      update tiles set hashes = set_byte(hashes, 31, get_byte(hashes, 31) # 1) where level = 2`
    expect(await findTiles()).toEqual(['tiles 0/2/0'])
  })
})

test('events with the same idempotency key are reported without the unique index', async () => {
  const { owner } = database
  await fill(6_000)
  const name = await readKeyIndex(owner)
  const [index] = await owner<{ definition: string }[]>`
    select pg_get_indexdef(${name}::regclass) as definition`
  await owner`drop index ${owner(name)}`
  try {
    await owner`update events set idempotency_key = 'k' where position in (17, 4242, 5999)`
    await owner`update events set idempotency_key = 'k', source = 'other' where position = 18`
    await integrate()
    const problems = await findProblems()
    expect(placesOf(problems)).toEqual(['0/4242 (idempotency)', '0/5999 (idempotency)'])
    expect(problems.map(({ found }) => found)).toMatchSnapshot()
  } finally {
    await owner`delete from events`
    await owner.unsafe(index!.definition)
  }
})

test('the report of a ruined log has a bounded size and the number of all problems', async () => {
  await integrate()
  await database.owner`update events set payload_sha256 = sha256('x')`
  const report = await verify(database)
  expect(report.first).toHaveLength(1_000)
  expect(report.problems).toBeGreaterThan(1_000)
})
