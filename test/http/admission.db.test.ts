import { afterAll, afterEach, beforeAll, expect, test } from 'bun:test'
import { readProblem } from '../support/problem.ts'
import { startTestService, type TestService, TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'

// A client with many requests at once waits for itself, and is refused. Flushes, health checks and
// other clients are not.

const FLUSH = { keys: [{ api_key_id: 1, requests: 1 }] }

/** Longer than any cooldown of a slot. */
const WAIT_MS = 1_500

let service: TestService
let reader = ''
beforeAll(async () => {
  service = await startTestService({ shards: 1, intervals: { admission: { waitMs: WAIT_MS } } })
  reader = await makeToken('reader', 'auditor')
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  await until(async () => (await service.fetch('admin', '/admin/api-keys/1')).status === 200)
})
afterAll(() => service.end())

let releaseLock = async () => {}
afterEach(() => releaseLock())

async function makeToken(name: string, role: string): Promise<string> {
  const body = JSON.stringify({ name, role })
  const made = await service.fetch('admin', '/admin/tokens', { method: 'POST', body })
  return ((await made.json()) as { token: string }).token
}

/** Locks a table that reads of counters need, so that they stay in work until it is released. */
async function holdReads() {
  const lock = await service.database.owner.reserve()
  await lock`begin`
  await lock`lock table api_keys in access exclusive mode`
  releaseLock = async () => {
    releaseLock = async () => {}
    await lock`rollback`
    lock.release()
  }
  return {
    /** Returns the number of reads that wait for the lock. */
    count: async () => {
      // Without this a transaction sees the same statistics again.
      await lock`select pg_stat_clear_snapshot()`
      const [row] = await lock<{ held: number }[]>`
        select count(*)::integer as held
        from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'
          and query like '%api_keys%'`
      return row!.held
    },
    release: () => releaseLock(),
  }
}

const HELD = '/admin/api-keys/1?ended=true&consistency=eventual'

/** Begins reads that wait for the lock. Their statuses arrive after it is released. */
function beginReads(token: string, count: number, signal?: AbortSignal) {
  const headers = { authorization: `Bearer ${token}` }
  return Array.from({ length: count }, async () => {
    const response = await fetch(service.url + HELD, { headers, ...(signal && { signal }) })
    await response.body?.cancel()
    return response.status
  })
}

async function expectRefused(response: Response, status: number, error: string) {
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await readProblem(response)).toMatchObject({ status, error })
}

const withToken = (token: string, path: string) =>
  fetch(service.url + path, { headers: { authorization: `Bearer ${token}` } })

const READS = [
  ...[
    '/admin/apikey-stats/summary',
    '/admin/api-keys?limit=1000',
    '/admin/keys?consistency=eventual',
  ],
  ...['/admin/usage?consistency=eventual', '/admin/apikey-stats/summary?as_of_position=0/-1'],
  ...['/audit/explain', '/audit/events', '/audit/events/0/0', '/audit/proof/consistency?from=0'],
  ...['/audit/log/0/tile/0/000', '/admin/status', '/admin/projections', '/admin/verifications'],
]

test('a token with all its slots in work gets 429, and no other token does', async () => {
  const lock = await holdReads()
  const held = beginReads(TOKENS.auditor, 4)
  await until(async () => (await lock.count()) === 4)
  const refused = await Promise.all(READS.map((path) => service.fetch('auditor', path)))
  for (const response of refused) await expectRefused(response, 429, 'too many requests')

  // Another token of the same role, another role, a flush, and requests without a token.
  expect((await withToken(reader, '/admin/status')).status).toBe(200)
  expect((await service.fetch('admin', '/audit/events')).status).toBe(200)
  expect((await service.post('/internal/apikey-stats/flush', FLUSH)).status).toBe(200)
  for (const path of ['/health/live', '/health/ready', '/swagger/json']) {
    expect([path, (await service.fetch(null, path)).status]).toEqual([path, 200])
  }
  expect(await lock.count()).toBe(4)
  await lock.release()
  expect(await Promise.all(held)).toEqual([200, 200, 200, 200])
  await until(async () => (await service.fetch('auditor', HELD)).status === 200)
})

test('while all slots are taken reads get 503; flushes and changes do not', async () => {
  const lock = await holdReads()
  const held = [...beginReads(TOKENS.auditor, 4), ...beginReads(TOKENS.admin, 2)]
  await until(async () => (await lock.count()) === 6)
  await expectRefused(await withToken(reader, '/admin/status'), 503, 'busy')
  expect((await service.post('/internal/apikey-stats/flush', FLUSH)).status).toBe(200)
  expect((await service.putCatalog({ provider_groups: [{ id: 1 }] })).status).toBe(200)
  expect((await service.fetch(null, '/health/ready')).status).toBe(200)
  const made = await makeToken('late', 'dp')
  expect(made).not.toBe('')
  await lock.release()
  expect(await Promise.all(held)).toEqual([200, 200, 200, 200, 200, 200])
  await until(async () => (await withToken(reader, '/admin/status')).status === 200)
})

test('a client that disconnects during its reads gets its slots back', async () => {
  const lock = await holdReads()
  const going = new AbortController()
  // Four in work, and eight that wait.
  const gone = beginReads(TOKENS.auditor, 12, going.signal)
  await until(async () => (await lock.count()) === 4)
  going.abort()
  const ends = await Promise.allSettled(gone)
  expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['rejected']))
  await lock.release()
  await until(async () => {
    const reads = await Promise.all(beginReads(TOKENS.auditor, 4))
    return reads.every((status) => status === 200)
  })
})

test('refused requests take turns and do not delay a flush', async () => {
  const refused = Array.from({ length: 400 }, (_, i) =>
    fetch(`${service.url}${i % 2 ? '/nothing' : '/admin/keys'}`).then(({ status }) => status),
  )
  expect((await service.post('/internal/apikey-stats/flush', FLUSH)).status).toBe(200)
  expect((await service.fetch(null, '/health/ready')).status).toBe(200)
  const statuses = await Promise.all(refused)
  for (const status of statuses) expect([401, 404, 429]).toContain(status)
})

/** Begins a flush whose body is very large and stays unfinished until `finish` is called. */
function beginLargeFlush(token: string) {
  let finish = () => {}
  const encode = (text: string) => new TextEncoder().encode(text)
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encode(`{"keys":[]${' '.repeat(300 * 1024)}`))
      finish = () => {
        controller.enqueue(encode('}'))
        controller.close()
      }
    },
    // The flush was refused.
    cancel: () => {
      finish = () => {}
    },
  })
  const headers = { authorization: `Bearer ${token}` }
  const answer = fetch(`${service.url}/internal/apikey-stats/flush`, {
    ...{ method: 'POST', headers, body },
  })
  return { answer, finish: () => finish() }
}

test('a third very large flush of a token at once gets 429; other flushes do not', async () => {
  const other = await makeToken('other', 'dp')
  const two = [beginLargeFlush(TOKENS.dp), beginLargeFlush(TOKENS.dp)]
  const third = beginLargeFlush(TOKENS.dp)
  const foreign = beginLargeFlush(other)
  foreign.finish()
  expect((await foreign.answer).status).toBe(200)
  expect((await service.post('/internal/apikey-stats/flush', FLUSH)).status).toBe(200)
  const all = [...two, third].map(({ answer }) => answer)
  const refused = await Promise.race(all)
  await expectRefused(refused, 429, 'too many requests')
  for (const { finish } of [...two, third]) finish()
  const statuses = (await Promise.all(all)).map(({ status }) => status)
  expect(statuses.sort()).toEqual([200, 200, 429])
})
