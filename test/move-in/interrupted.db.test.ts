import { afterAll, beforeAll, expect, test } from 'bun:test'
import { move, undoMove } from '../../src/move-in/move.ts'
import { SYSTEMS } from '../../src/move-in/systems/index.ts'
import { verifyMove } from '../../src/move-in/verify.ts'
import { runTallybook } from '../support/process.ts'
import { TOKENS, useService } from '../support/service.ts'
import { clientOf, createOldDatabase, readMove, type TestOldDatabase } from './old-databases.ts'

// A move that fails or is killed at any step goes on when it is run again, and counts nothing twice.

const service = useService()
let old: TestOldDatabase
beforeAll(async () => {
  old = await createOldDatabase('ez-api')
  await old.run(`
    insert into provider_groups (id, name, total_requests) values (1, 'one', 100), (2, 'two', 50);
    insert into api_keys (id, group_id, total_requests, deleted_at)
      select i, 1 + i % 2, i, case when i = 4 then now() end from generate_series(1, 6) i;
    insert into keys (token_hash, request_count, used_tokens)
      select 'hash-' || i, i, 10 * i from generate_series(1, 5) i`)
})
afterAll(() => old?.drop())

const isWrite = (method: string) => method !== 'GET'
class Injected extends Error {}

/** A client that fails at the nth write: before it is sent, or after it was answered. */
function failingAt(nth: number, where: 'before' | 'after') {
  let writes = 0
  return clientOf(service, (method, when) => {
    if (!isWrite(method)) return
    if (when === 'before') writes++
    if (when === where && writes === nth) throw new Injected()
  })
}

const totals = async () => {
  const { items } = await service.read<{ items: { request_count: number }[] }>('/admin/keys')
  const summary = await service.read<{ total_requests: number }>('/admin/apikey-stats/summary')
  const used = items.map(({ request_count }) => request_count)
  return { groups: summary.total_requests, keys: used.reduce((sum, count) => sum + count, 0) }
}

for (const where of ['before', 'after'] as const) {
  test(`every write fails once, ${where} it is done, and the next attempt goes on`, async () => {
    const moving = { ...(await readMove('ez-api', old.url)), batchRows: 4 }
    // An earlier test has moved them already.
    await undoMove(clientOf(service), SYSTEMS['ez-api']!)
    expect(await totals()).toEqual({ groups: 0, keys: 0 })
    let failures = 0
    for (let isDone = false; !isDone; ) {
      const client = failingAt(1 + (where === 'before' ? failures : 0), where)
      // Later attempts must equal the first, whose time is in the log.
      const later = { ...moving, takenAt: new Date().toISOString() }
      isDone = await move(client, later).then(
        () => true,
        (error) => {
          if (!(error instanceof Injected)) throw error
          failures++
          return false
        },
      )
      expect(failures).toBeLessThan(20)
    }
    // Four batches, and in the first test three changes of the catalog and a retired row.
    expect(failures).toBeGreaterThanOrEqual(3)
    const moved = await move(clientOf(service), moving)
    expect([moved.recordedBefore, moved.batches.length]).toEqual([4, 4])
    const { differences } = await verifyMove(clientOf(service), moving, moved)
    expect(differences).toEqual([])
    expect(await totals()).toEqual({ groups: 150, keys: 15 })
  })
}

test('a process that is killed after each of its writes is done after as many runs', async () => {
  await old.run(`insert into keys (token_hash, request_count) values ('another', 4)`)
  await undoMove(clientOf(service), SYSTEMS['ez-api']!)
  let child: ReturnType<typeof runTallybook> | null = null
  const proxy = Bun.serve({
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url)
      const { method, headers } = request
      const init = { method, headers, ...(isWrite(method) && { body: await request.text() }) }
      const response = await fetch(`${service.url}${pathname}${search}`, init)
      // The answer never arrives.
      if (isWrite(method)) child!.kill('SIGKILL')
      return response
    },
  })
  const runs: (number | null)[] = []
  do {
    const args = ['move-in', 'ez-api', old.url, '--to', `http://127.0.0.1:${proxy.port}`]
    child = runTallybook(args, '/nowhere', { TALLYBOOK_ADMIN_TOKEN: TOKENS.admin })
    runs.push(await child.exited)
  } while (runs.at(-1) !== 0 && runs.length < 10)
  await proxy.stop(true)
  expect(runs.at(-1)).toBe(0)
  // One for the catalog, and one for the only batch.
  expect(runs.slice(0, -1)).toEqual([137, 137])
  expect(await totals()).toEqual({ groups: 150, keys: 19 })
})

test('an attempt that was thought to be dead may record the same batches meanwhile', async () => {
  await undoMove(clientOf(service), SYSTEMS['ez-api']!)
  const moving = { ...(await readMove('ez-api', old.url)), batchRows: 4 }
  const earlier = { ...moving, takenAt: '2026-01-01T00:00:00Z' }
  let isFirst = true
  const client = clientOf(service, async (method, when) => {
    if (method !== 'POST' || when !== 'before' || !isFirst) return
    isFirst = false
    await move(clientOf(service), earlier)
  })
  const { batches } = await move(client, moving)
  const times = new Set(batches.map(({ opening }) => opening.as_of))
  expect([...times]).toEqual(['2026-01-01T00:00:00.000000+00:00'])
  expect(await totals()).toEqual({ groups: 150, keys: 19 })
})

test('another snapshot is refused until the first one is taken back', async () => {
  await old.run(`update keys set request_count = request_count + 1 where token_hash = 'hash-1'`)
  const moving = await readMove('ez-api', old.url)
  const writes: string[] = []
  const client = clientOf(service, (method) => void (isWrite(method) && writes.push(method)))
  await expect(move(client, moving)).rejects.toThrow('--undo')
  expect(writes).toEqual([])
  expect(await totals()).toEqual({ groups: 150, keys: 19 })
  await undoMove(client, SYSTEMS['ez-api']!)
  await move(client, moving)
  expect(await totals()).toEqual({ groups: 150, keys: 20 })
})

test('balances that someone else has opened are not opened again', async () => {
  await undoMove(clientOf(service), SYSTEMS['ez-api']!)
  await service.act('/admin/balances', {
    ...{ as_of: '2026-01-01T00:00:00Z', origin: { system: 'by hand' } },
    provider_groups: [{ id: 1, total_requests: 1, success_requests: 0 }],
  })
  const moving = await readMove('ez-api', old.url)
  await expect(move(clientOf(service), moving)).rejects.toThrow('already open')
  expect(await totals()).toEqual({ groups: 1, keys: 0 })
})
