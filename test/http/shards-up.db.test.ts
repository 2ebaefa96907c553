import { afterAll, beforeAll, expect, test } from 'bun:test'
import { keyOfShard } from '../support/keys.ts'
import { createDatabaseOf } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// `tallybook_shard_up` on one server, where a trigger makes a shard refuse flushes. For unavailable
// Citus nodes see test/platform/postgres/citus-nodes.db.test.ts.

const SHARDS = 4

let service: TestService
beforeAll(async () => {
  service = await startTestService({ database: await createDatabaseOf(SHARDS), shards: SHARDS })
})
afterAll(() => service.end())

async function readUp(): Promise<string> {
  const text = await (await fetch(`${service.url}/metrics`)).text()
  return Array.from(
    text.matchAll(/^tallybook_(?:database|shard)_up.* (\d)$/gm),
    ([, up]) => up,
  ).join()
}

const postTo = async (shard: number) => {
  const headers = { 'idempotency-key': keyOfShard(shard, SHARDS, 'up') }
  return (await service.post('/internal/stats/flush', { keys: [] }, headers)).status
}

test('a shard that refuses flushes is down; the database and the other shards are up', async () => {
  expect(await readUp()).toBe('1,1,1,1,1')
  const { owner } = service.database
  await owner.unsafe(`
    create function refuse_two() returns trigger language plpgsql as $$ begin
      if new.shard = 2 then raise exception 'no space left' using errcode = '53100'; end if;
      return new;
    end $$`)
  await owner`
    create trigger refuse_two before insert on events for each row execute function refuse_two()`
  expect(await Promise.all([0, 1, 2, 3].map(postTo))).toEqual([200, 200, 503, 200])
  await until(async () => (await readUp()) === '1,1,1,0,1')
  // It is up again as soon as it would accept a flush, even if no client posts one.
  await owner`drop trigger refuse_two on events`
  await until(async () => (await readUp()) === '1,1,1,1,1')
})
