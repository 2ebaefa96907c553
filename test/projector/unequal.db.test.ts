import { expect, test } from 'bun:test'
import { createDatabase } from '../support/server.ts'
import { startTestService } from '../support/service.ts'

test('a projection that begins anew makes no other fold an event twice', async () => {
  const database = await createDatabase()
  // More than one pass folds, so that the first ends far behind the other checkpoints.
  const events = 50_100
  const payload = '{"groups":[1],"counts":[1],"ids":[1],"requests":[1],"successes":[1]}'
  await database.owner`
    insert into events (shard, position, type, version, recorded_at, source, payload, payload_sha256)
    select 0, i, 'ApiKeyStatsFlushed', 1, now(), 'dp', ${payload}::text::json,
      sha256(${payload}::text::bytea)
    from generate_series(0, ${events - 1}::integer) i`
  const first = await startTestService({ database })
  const summary = '/admin/apikey-stats/summary'
  expect(await first.read<object>(summary)).toMatchObject({ total_requests: events })
  await first.stop()

  await database.owner`
    update checkpoints set position = -1 where projection = 'key_counters' and shard = 0`
  const second = await startTestService({ database })
  expect(await second.read<object>(summary)).toMatchObject({ total_requests: events })
  await second.end()
})
