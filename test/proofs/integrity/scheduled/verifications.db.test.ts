import { beforeAll, expect, test } from 'bun:test'
import pino from 'pino'
import { connectAsOwner, openPools } from '../../../../src/platform/postgres/pool.ts'
import { type Started, Verifications } from '../../../../src/proofs/integrity/scheduled/run.ts'
import { lastDue } from '../../../../src/proofs/integrity/scheduled/schedule.ts'
import {
  finishVerification,
  insertVerification,
  listVerifications,
  type StoredVerification,
  VERIFICATION_LOCK,
} from '../../../../src/proofs/integrity/scheduled/stored.ts'
import { untilWaiting } from '../../../support/events.ts'
import { TEST_SHARDS } from '../../../support/server.ts'
import { useService } from '../../../support/service.ts'
import { until } from '../../../support/until.ts'
import { settle, writeHistory } from '../history.ts'

const service = useService()

beforeAll(async () => {
  await writeHistory(service)
  await settle(service.database, service.shards)
})

type List = { items: StoredVerification[]; next_cursor: string | null }

const start = () => service.fetch('admin', '/admin/verifications', { method: 'POST' })
/** Starts one. The previous one holds the lock for a moment after it is reported as ended. */
async function startNext(): Promise<void> {
  for (;;) {
    const { status } = await start()
    if (status !== 409) return expect(status).toBe(202)
    await Bun.sleep(20)
  }
}

/** Starts one on an instance in the same way, and returns the result. */
async function startNextOn(
  verifications: Verifications,
  dueAt: string | null = null,
): Promise<Exclude<Started, 'busy'>> {
  for (;;) {
    const started = await verifications.start(dueAt)
    if (started !== 'busy') return started
    await Bun.sleep(20)
  }
}

/** Keeps verifications from ending until released: they wait for a locked table. */
async function holdVerifications(): Promise<{ release(): Promise<void> }> {
  const owner = connectAsOwner(service.database.address)
  const connection = await owner.reserve()
  await connection`begin`
  await connection`lock table key_versions in access exclusive mode`
  return {
    release: async () => {
      await connection`rollback`
      connection.release()
      await owner.end()
    },
  }
}

const list = (query = '') => service.read<List>(`/admin/verifications${query}`)

/** Waits until the newest verification is no longer running, and returns it. */
async function untilEnded(): Promise<StoredVerification> {
  for (;;) {
    const { items } = await list('?limit=1')
    if (items[0]!.state !== 'running') return items[0]!
    await Bun.sleep(20)
  }
}

/** Returns the value of a metric, or NaN if it has none. A scrape may be a second old. */
async function readMetric(name: string): Promise<number> {
  const text = await (await service.fetch(null, '/metrics')).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

/** Another instance on the same database. */
function openInstance() {
  const pools = openPools(service.database.address, TEST_SHARDS)
  const logger = pino({ level: 'silent' })
  return {
    pools,
    verifications: new Verifications(service.database.address, pools.project, logger),
  }
}

test('a verification that is started runs to its end and stores a report', async () => {
  expect(await readMetric('tallybook_verify_timestamp_seconds')).toBeNaN()
  const answer = await start()
  expect(answer.status).toBe(202)
  const { id } = (await answer.json()) as { id: number }
  const ended = await untilEnded()
  expect(ended).toMatchObject({ id, state: 'finished', problems: 0, due_at: null })
  expect(ended.report).toMatchObject({ problems: 0, first: [], positions: ended.positions })
  expect(ended.events).toBeGreaterThan(20)
  await until(async () => (await readMetric('tallybook_verify_timestamp_seconds')) > 1e9)
  expect(await readMetric('tallybook_verify_problems')).toBe(0)
})

test('the problems of a verification are exported as a metric', async () => {
  const { owner } = service.database
  await owner`update api_key_counters set requests = requests + 1 where api_key_id = 1`
  await startNext()
  const ended = await untilEnded()
  await owner`update api_key_counters set requests = requests - 1 where api_key_id = 1`
  expect(ended.problems).toBeGreaterThan(0)
  expect(ended.report!.first[0]!.at).toMatch(/^api_key_counters \d\/1$/)
  await until(async () => (await readMetric('tallybook_verify_problems')) === ended.problems)
})

test('no verification starts on any instance while one is running', async () => {
  const { pools, verifications } = openInstance()
  const held = await holdVerifications()
  await startNext()
  const answers = await Promise.all([start(), start(), start()])
  for (const answer of answers) {
    expect(answer.status).toBe(409)
    expect(await answer.json()).toMatchObject({ error: 'verification running' })
  }
  expect(await verifications.start()).toBe('busy')
  await held.release()
  expect(await untilEnded()).toMatchObject({ state: 'finished' })
  await verifications.stop()
  await pools.close()
})

test('one of several verifications started at the same time runs, on any instance', async () => {
  const { pools, verifications } = openInstance()
  const held = await holdVerifications()
  const isBegun = (answer: Response | Started) =>
    answer instanceof Response ? answer.status === 202 : typeof answer === 'object'
  let begun: (Response | Started)[] = []
  // None starts while the previous one still holds the lock.
  while (begun.length === 0) {
    const answers = await Promise.all([start(), start(), start(), verifications.start()])
    begun = answers.filter(isBegun)
  }
  expect(begun).toHaveLength(1)
  await held.release()
  await verifications.idle()
  await untilEnded()
  await startNext()
  expect(await untilEnded()).toMatchObject({ state: 'finished' })
  await verifications.stop()
  await pools.close()
})

test('a verification whose service ends is shown as killed, and the next one runs', async () => {
  const { pools, verifications } = openInstance()
  const held = await holdVerifications()
  const started = (await startNextOn(verifications)) as object
  await verifications.stop()
  await pools.close()
  await held.release()
  expect(await untilEnded()).toMatchObject({
    ...started,
    state: 'killed',
    finished_at: null,
    report: null,
  })
  await startNext()
  expect(await untilEnded()).toMatchObject({ state: 'finished', problems: 0 })
})

/** Opens a session in which reads of locks wait for the advisory lock 1. */
async function openWaiting() {
  const owner = connectAsOwner(service.database.address)
  await owner.unsafe(`
    create schema waiting;
    create function waiting.locks() returns setof pg_catalog.pg_locks language plpgsql as $$
    begin
      perform pg_advisory_xact_lock_shared(1);
      return query select * from pg_catalog.pg_locks;
    end $$;
    create view waiting.pg_locks as select * from waiting.locks()`)
  const session = await owner.reserve()
  await session`select set_config('search_path', 'waiting, pg_catalog, tallybook', false)`
  return { owner, session }
}

test('a verification that ends while the list is read is not shown as killed', async () => {
  const { pools } = openInstance()
  const holder = await pools.control.reserve()
  await holder`select pg_advisory_lock(${VERIFICATION_LOCK}::bigint), pg_advisory_lock(1)`
  const { id } = (await insertVerification(pools.project, null))!
  const { owner, session } = await openWaiting()
  const listed = listVerifications(session, { before: null, limit: 1 })
  await untilWaiting(service.database.owner, 1)
  await finishVerification(pools.project, id, null)
  await holder`select pg_advisory_unlock(${VERIFICATION_LOCK}::bigint), pg_advisory_unlock(1)`
  expect(await listed).toMatchObject([{ id, state: 'failed' }])
  holder.release()
  session.release()
  await Promise.all([owner.end(), pools.close()])
})

test('a verification that is due runs once, on one of the instances', async () => {
  const instances = [openInstance(), openInstance(), openInstance()]
  const due = '2026-01-31T03:30:00.000Z'
  const begun: object[] = []
  for (let round = 0; round < 2; round++) {
    for (const { verifications } of instances) {
      const started = await startNextOn(verifications, due)
      if (started !== 'done before') begun.push(started)
      await verifications.idle()
    }
  }
  expect(begun).toHaveLength(1)
  const rows = await listVerifications(instances[0]!.pools.read, { before: null, limit: 100 })
  expect(rows.filter(({ due_at }) => due_at === due)).toHaveLength(1)
  for (const { pools, verifications } of instances) {
    await verifications.stop()
    await pools.close()
  }
})

test('a verification is due every day at its time in UTC', () => {
  const at = { hour: 3, minute: 30 }
  const due = (now: string) => lastDue(at, new Date(now)).toISOString()
  expect(due('2026-03-01T03:30:00.000Z')).toBe('2026-03-01T03:30:00.000Z')
  expect(due('2026-03-01T03:29:59.999Z')).toBe('2026-02-28T03:30:00.000Z')
  expect(due('2026-12-31T23:59:59.999Z')).toBe('2026-12-31T03:30:00.000Z')
})

test('verifications are listed in pages, newest first', async () => {
  const all = (await list('?limit=100')).items.map(({ id }) => id)
  expect(all).toEqual([...all].sort((a, b) => b - a))
  const paged: number[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: List = await list(`?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
    expect(page.items.length).toBeLessThanOrEqual(2)
    paged.push(...page.items.map(({ id }) => id))
    cursor = page.next_cursor
  }
  expect(paged).toEqual(all)
  for (const query of ['?limit=0', '?limit=101', '?cursor=x', '?more=1']) {
    expect((await service.fetch('auditor', `/admin/verifications${query}`)).status).toBe(400)
  }
})
