import { afterAll, beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import { verify } from '../proofs/integrity/history.ts'
import { TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { DAY_MS, randomFrom, simulate } from './simulated.ts'

// Usage that is moved to days and months by processes that are killed, by two at once and by a service, while
// flushes arrive, is neither lost nor counted twice.

const DAYS = 140
const KEPT_DAYS = 40
const KEPT_MONTHS = 3
/** On a slow machine. */
const PATIENCE_MS = 300_000

let service: TestService

beforeAll(async () => {
  ;({ service } = await simulate(DAYS, 4_000, 5))
}, PATIENCE_MS)
afterAll(() => service.end())

const midnight = (daysAgo: number) =>
  new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS - daysAgo * DAY_MS).toISOString()

/** What no flush of today changes, and no late one. */
const OLD = `from=${midnight(DAYS + 40).slice(0, 7)}-01T00:00:00Z&to=${midnight(35)}`

async function readOld(): Promise<string[]> {
  const paths = ['', '&api_key_id=1', '&token_hash=b'].flatMap((scope) => [
    `/admin/usage?bucket=month&${OLD}${scope}`,
    `/admin/breakdown?by=model,status&${OLD}${scope}`,
  ])
  return Promise.all(paths.map(async (path) => JSON.stringify(await service.read(path))))
}

/** Counts rows that are yet to be moved: quarter hours to days, and days to months. */
async function countOld(): Promise<number> {
  const [row] = await service.database.owner<{ rows: number }[]>`
    select count(*)::integer as rows
    from (
      select quarter from api_key_parts where quarter < now() - interval '42 days'
      union all
      select quarter from api_key_daily_parts
      where quarter < now() - interval '125 days' and position < 0
    ) u`
  return row!.rows
}

/** Starts a process that moves usage; resolves when it has begun. */
async function startMover() {
  const argument = JSON.stringify([
    service.database.address,
    TEST_SHARDS,
    { day: KEPT_DAYS, month: KEPT_MONTHS },
  ])
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'move-usage.ts'), argument], {
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const reader = child.stdout.getReader()
  await reader.read()
  reader.releaseLock()
  return child
}

const flush = () =>
  service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 1, requests: 1 }] })

test(
  'processes that are killed while they move usage change no sum',
  async () => {
    const before = await readOld()
    expect(await countOld()).toBeGreaterThan(100)
    expect((await service.fetch('admin', '/admin/attestations', { method: 'POST' })).status).toBe(
      201,
    )
    const random = randomFrom(3)
    for (let kills = 0; kills < 6; kills++) {
      const [one, other] = [await startMover(), await startMover()]
      await flush()
      await Bun.sleep(random(300))
      one.kill('SIGKILL')
      other.kill('SIGKILL')
      await Promise.all([one.exited, other.exited])
      expect(await readOld()).toEqual(before)
    }
    const last = await startMover()
    while ((await countOld()) > 0) {
      await flush()
      expect(await readOld()).toEqual(before)
    }
    last.kill('SIGKILL')
    await last.exited
    expect(await readOld()).toEqual(before)
    expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
  },
  PATIENCE_MS,
)

test(
  'a service moves what becomes old, once it is attested',
  async () => {
    const { database } = service
    const before = await readOld()
    const [row] = await database.owner<{ days: string; months: string }[]>`
      select max(daily_before)::text as days, max(monthly_before)::text as months
      from checkpoints`
    await service.stop()
    const kept = { usageQuartersDays: KEPT_DAYS - 3, usageDaysMonths: KEPT_MONTHS - 1 }
    service = await startTestService({ database, ...kept })
    await flush()
    await service.fetch('admin', '/admin/attestations', { method: 'POST' })
    for (let isDone = false; !isDone; await Bun.sleep(50)) {
      const [found] = await database.owner<{ done: boolean }[]>`
        select daily_moved = daily_before and daily_before > ${row!.days}::timestamptz
          and monthly_moved = monthly_before
          and monthly_before > ${row!.months}::timestamptz as done
        from checkpoints
        where projection = 'usage' and shard = 0`
      isDone = found!.done
    }
    expect(await readOld()).toEqual(before)
    expect(await verify(database)).toMatchObject({ problems: 0, first: [] })
  },
  PATIENCE_MS,
)
