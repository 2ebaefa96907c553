import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { verify } from './history.ts'

// What only the owner can do to whole rows.

let database: TestDatabase

beforeEach(async () => {
  database = await createDatabase()
  await database.owner`
    insert into events (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select 0, i, 'KeyStatsFlushed', 1, '2026-01-31T12:00:00+00:00', 'dp', null, p.payload::json,
      sha256(convert_to(p.payload, 'UTF8'))
    from generate_series(0, 11999) i
      cross join (
        select '{"hashes":[],"requests":[],"tokens":[],"last_accessed_at":[],"quota_tracked":[]}'
      ) p(payload)`
  await database.owner`alter table events disable trigger user`
  await database.owner`alter table tiles disable trigger user`
})
afterEach(() => database.drop())

/** The places that are named, with what is wrong there. */
async function findPlaces(): Promise<string[]> {
  const { first } = await verify(database)
  // No service has made projections here.
  return first
    .filter(({ check }) => check !== 'checkpoints')
    .map(({ check, at, found }) => `${at} (${check}): ${found}`)
}

async function integrate(): Promise<void> {
  const { owner } = database
  while ((await owner`select integrate_events(0, 5000) as added`)[0]!.added > 0);
}

/** Makes three levels of tiles, of leaves that are no event's, in an empty log. */
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

/** What is wrong with tiles above level 0. */
async function findTiles(): Promise<string[]> {
  const { first } = await verify(database)
  return first
    .filter(({ check, at }) => check === 'tiles' && !at.startsWith('tiles 0/0/'))
    .map(({ at, found }) => `${at}: ${found}`)
}

test('a log that is whole has no problem', async () => {
  await integrate()
  expect(await findPlaces()).toEqual([])
})

test('a gap is named by its first position, however many chunks it spans', async () => {
  await integrate()
  await database.owner`delete from events where position between 4000 and 11000`
  expect(await findPlaces()).toEqual(['0/4000 (position): the next is 11001'])
})

test('a log whose begin is gone is found', async () => {
  await integrate()
  await database.owner`delete from events where position < 3`
  expect(await findPlaces()).toEqual(['0/0 (position): the next is 3'])
})

test('a log whose end is gone is found by its leaves', async () => {
  await integrate()
  await database.owner`delete from events where position > 11000`
  expect(await findPlaces()).toEqual([
    'tiles 0/0/42 (tiles): 256 leaves from position 10752 on',
    'tiles 0/0/43 (tiles): 256 leaves from position 11008 on',
    'tiles 0/0/44 (tiles): 256 leaves from position 11264 on',
    'tiles 0/0/45 (tiles): 256 leaves from position 11520 on',
    'tiles 0/0/46 (tiles): 224 leaves from position 11776 on',
  ])
})

test('a tile that is gone is found', async () => {
  await integrate()
  await database.owner`delete from tiles where number = 7`
  expect((await findPlaces())[0]).toBe('tiles 0/0/8 (tiles): tile 8')
})

describe('of the levels above', () => {
  // 12,000 leaves: 46 full tiles, whose roots are level 1. Another level needs 65,536.
  test('roots that are not there yet are no problem, nor that there are none', async () => {
    await integrate()
    await database.owner`
      update tiles set hashes = substring(hashes for 32 * 45) where level = 1`
    expect(await findPlaces()).toEqual([])
    await database.owner`delete from tiles where level = 1`
    expect(await findPlaces()).toEqual([])
  })

  test('a root without a full tile is found', async () => {
    await integrate()
    await database.owner`update tiles set hashes = hashes || sha256('x') where level = 1`
    expect(await findPlaces()).toEqual(['tiles 0/1/0 (tiles): 47 hashes from hash 0 on'])
  })

  test('each root that is not that of its tile is found', async () => {
    await integrate()
    await database.owner`
      update tiles set hashes = substring(hashes for 64) || substring(hashes from 33 for 32)
        || substring(hashes from 97) where level = 1`
    const [row] = await database.owner<{ root: string }[]>`
      select encode(substring(hashes from 33 for 32), 'hex') as root from tiles where level = 1`
    expect(await findPlaces()).toEqual([`tiles 0/1/0 (tiles): ${row!.root}`])
  })

  test('a tile or level that is gone is found, where another stands on it', async () => {
    await makeLevels()
    expect(await findTiles()).toEqual([])
    await database.owner`delete from tiles where level = 2`
    expect(await findTiles()).toEqual(['tiles 0/2: 0'])
    await database.owner`delete from tiles where level = 1 and number = 0`
    expect(await findTiles()).toEqual(['tiles 0/1/1: tile 1'])
    await database.owner`delete from tiles where level = 1`
    expect(await findTiles()).toEqual([])
  })

  test('a root of roots that is not that of its tile is found', async () => {
    await makeLevels()
    await database.owner`
      update tiles set hashes = set_byte(hashes, 31, get_byte(hashes, 31) # 1) where level = 2`
    const places = await findTiles()
    expect(places).toHaveLength(1)
    expect(places[0]).toStartWith('tiles 0/2/0: ')
  })
})

test('events of one idempotency key are found without the index that forbids them', async () => {
  await database.owner`drop index events_idempotency_key`
  await database.owner`
    update events set idempotency_key = 'k' where position in (17, 4242, 11999)`
  await database.owner`
    update events set idempotency_key = 'k', source = 'other' where position = 18`
  await integrate()
  expect(await findPlaces()).toEqual([
    '0/4242 (idempotency): that of 0/17',
    '0/11999 (idempotency): that of 0/17',
  ])
})

test('a log that is all wrong gives a report of bounded size, and the number', async () => {
  await integrate()
  await database.owner`update events set payload_sha256 = sha256('x')`
  const report = await verify(database)
  expect(report.first).toHaveLength(1_000)
  expect(report.problems).toBeGreaterThan(1_000)
})
