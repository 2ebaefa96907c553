import { afterEach, beforeEach, expect, test } from 'bun:test'
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
