import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { snapshots } from '../../src/read-model/projections/snapshots.ts'
import { thinSnapshots } from '../../src/read-model/projector/thin-snapshots.ts'
import { positionOf } from '../support/events.ts'
import { checkpointsOf, foldOnce } from '../support/fold.ts'
import { TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { Range } from './range.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'
import { Session } from './session.ts'
import { history } from './steps.ts'

// A read of the past returns what a read returned then, by position and by time.

// Each of 3 faults planted in reads of the past was found by the 4th history, with three seeds.
const runs = runsOf(6)

const HOUR_MS = 3_600_000
/** Whole hours around the run. */
const hour = (offset: number) =>
  new Date((Math.floor(Date.now() / HOUR_MS) + offset) * HOUR_MS).toISOString()

const USAGE = `/admin/usage?from=${hour(-30)}&to=${hour(3)}&`
/** From before the earliest flush on. */
const USAGE_OF_DAYS = `/admin/usage?bucket=day&from=${hour(-36 * 24)}&to=${hour(3)}&`

const PATHS = [
  '/admin/apikey-stats/summary?',
  '/admin/provider-groups?ended=true&sort=-total_requests&',
  '/admin/api-keys?ended=true&limit=1000&',
  '/admin/api-keys?sort=-failure_requests&limit=7&',
  '/admin/provider-groups?ended=true&search=gw/&',
  '/admin/api-keys?sort=name&search=gw/&limit=7&',
  '/admin/keys?ended=true&limit=1000&',
  '/admin/keys?sort=-used_tokens&limit=7&',
  '/admin/measures?ended=true&',
  '/admin/dimensions?',
]

/** Whose usage is read: that of everything, and of an account of the run. */
const SCOPES: ((range: Range) => string)[] = [
  () => 'tz=UTC',
  (range) => `group_id=${range.id(1)}`,
  (range) => `api_key_id=${range.id(2)}`,
  (range) => `token_hash=${range.hash(1)}`,
]

/** What was read after a step, at which position, and when. */
type Recorded = { path: string; body: string; position: string; at: string }

let service: TestService
let pools: Pools

beforeAll(async () => {
  service = await startTestService()
  pools = openPools(service.database.address, TEST_SHARDS)
})
afterAll(async () => {
  await pools.close()
  await service.end()
})

async function record(path: string): Promise<Recorded> {
  const response = await service.fetch('admin', path)
  expect(response.status).toBe(200)
  const [row] = await service.database.owner<{ at: string }[]>`
    select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`
  return { path, body: await response.text(), position: positionOf(response), at: row!.at }
}

/** Takes a snapshot, and removes all others that may be removed. */
async function takeSnapshot(shard: number): Promise<void> {
  const checkpoints = await checkpointsOf(pools.project, shard, [snapshots])
  await foldOnce(pools.project, shard, checkpoints, [snapshots])
  const spacing = { ageFactor: 1, maxCost: 100_000, maxEvents: 100_000 }
  await thinSnapshots(pools.project, shard, checkpoints[0]!.generation, spacing)
}

async function compare({ path, body, position, at }: Recorded): Promise<void> {
  for (const asOf of [`as_of_position=${position}`, `as_of=${at}`]) {
    const response = await service.fetch('auditor', path + asOf)
    expect(await response.text()).toBe(body)
    expect(positionOf(response)).toBe(position)
  }
}

/** A history, and the steps after which shards get a snapshot. */
const parts = fc.record({
  steps: history,
  snapshots: fc.array(fc.record({ after: fc.nat(24), shard: fc.nat(TEST_SHARDS - 1) })),
})

let run = 0
test(
  `a read as of an earlier time returns what was read then, in ${runs} histories`,
  async () => {
    const property = fc.asyncProperty(parts, async ({ steps, snapshots }) => {
      const session = await Session.begin(service, ++run)
      const recorded: Recorded[] = []
      for (const [i, step] of steps.entries()) {
        await session.take(step)
        if (step.do !== 'read' && step.do !== 'refused') {
          recorded.push(await record(PATHS[i % PATHS.length]!), await record(USAGE))
          const scope = SCOPES[i % SCOPES.length]!(new Range(run))
          recorded.push(await record(`${USAGE_OF_DAYS}${scope}&`))
        }
        for (const { after, shard } of snapshots) if (after === i) await takeSnapshot(shard)
      }
      for (const one of recorded) await compare(one)
    })
    await fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs * 20),
)
