import { afterEach, beforeEach, expect, test } from 'bun:test'
import pino from 'pino'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { Attestations } from '../../../src/proofs/attestations/attestations.ts'
import { Projector } from '../../../src/read-model/projector/projector.ts'
import { startTestService, type TestService } from '../../support/service.ts'
import { until } from '../../support/until.ts'

/** 30 ms. */
const MINUTES = 0.0005

let service: TestService
let pools: Pools
let projector: Projector
let attestations: Attestations
let logged: { level: number; msg: string }[]
/** The logger of the schedule, which writes to `logged`. */
let logger: pino.Logger

beforeEach(async () => {
  service = await startTestService()
  const { shards } = service
  pools = openPools(service.database.address, shards)
  logged = []
  logger = pino({}, { write: (line) => logged.push(JSON.parse(line)) })
  projector = new Projector(pools, shards, pino({ level: 'silent' }))
  projector.start()
  attestations = new Attestations({ pools, shards, projector, onAppended: () => {} })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 7, group_id: 1 }] })
})
afterEach(async () => {
  await attestations.stop()
  await projector.stop()
  await pools.close()
  await service.end()
})

const flush = () =>
  service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 7, requests: 1 }] })

async function countAttestations(shard: number | null = null): Promise<number> {
  const [row] = await service.database.owner`
    select count(*)::integer as count
    from events
    where type = 'ProjectionAttested' and (shard = ${shard}::integer or ${shard === null})`
  return row!.count as number
}

test('a schedule attests every time the log has grown', async () => {
  const schedule = attestations.schedule(MINUTES, logger)
  for (let round = 0; round < 3; round++) {
    const before = await countAttestations()
    await flush()
    await until(async () => (await countAttestations()) > before)
  }
  schedule.stop()
  await attestations.stop()
  const all = await countAttestations()
  // Nothing has grown: attestations themselves need no attestation.
  await attestations.attest()
  const settled = await countAttestations()
  expect(await attestations.attest()).toEqual([])
  expect(await countAttestations()).toBe(settled)
  expect(settled - all).toBeLessThanOrEqual(service.shards)
  expect(logged).toEqual([])
})

test('one of many instances whose timers fire at once attests a shard that has grown', async () => {
  const all = Array.from(
    { length: 6 },
    () => new Attestations({ pools, shards: service.shards, projector, onAppended: () => {} }),
  )
  for (let round = 1; round <= 3; round++) {
    const grown = Number((await flush()).headers.get('tallybook-position')!.split('/')[0])
    const before = await countAttestations(grown)
    // With a minimum age, as on a schedule, the attestation of another instance is too young.
    await Promise.all(all.map((one) => one.attest(round === 1 ? 60_000 : 0)))
    expect(await countAttestations(grown)).toBe(before + 1)
  }
})

test('a flush that is appended during an attestation is attested by the next one', async () => {
  await flush()
  await attestations.attest()
  const newest = (await attestations.readNewest())[0]!
  // As if the flush had been appended after the tables were read and before the attestation.
  const { owner } = service.database
  await owner`alter table events disable trigger user`
  await owner`
    update events e
    set payload = jsonb_set(e.payload::jsonb, '{totals,position}', to_jsonb(${-1}::integer))::json
    where e.shard = ${newest.shard} and e.position = ${newest.position}`
  expect(await attestations.attest()).toMatchObject([{ shard: newest.shard }])
})

/** Restarts the schedule after every quarter of its interval, until it has attested. */
async function restartUntilAttested(minutes: number): Promise<void> {
  const before = await countAttestations()
  await until(async () => {
    const schedule = attestations.schedule(minutes, logger)
    await Bun.sleep((minutes * 60_000) / 4)
    schedule.stop()
    await attestations.stop()
    return (await countAttestations()) > before
  })
}

test('a schedule that is restarted more often than its interval attests', async () => {
  await flush()
  await restartUntilAttested(0.01)
  await flush()
  await restartUntilAttested(0.01)
})

test.each([
  ['none was made for an hour', 3_600, -1],
  ['the newest is an hour old', 7_200, 3_600],
  ['the newest is in the future', 3_600, -3_600],
])('a start makes an attestation if %s', async (_, firstAge, newestAge) => {
  await flush()
  if (newestAge !== -1) await attestations.attest()
  await age(firstAge, newestAge)
  const before = await countAttestations()
  const schedule = attestations.schedule(MINUTES * 400, logger)
  await flush()
  await until(async () => (await countAttestations()) > before)
  schedule.stop()
})

test('a start makes no attestation if the newest, or else the first event, is recent', async () => {
  for (const attest of [false, true]) {
    await flush()
    if (attest) await attestations.attest()
    const before = await countAttestations()
    // It first checks after a tenth of the interval: 1.2 seconds.
    const schedule = attestations.schedule(0.2, logger)
    await Bun.sleep(1_500)
    schedule.stop()
    await attestations.stop()
    expect(await countAttestations()).toBe(before)
  }
})

/** Makes the first event and the attestations so many seconds old. */
async function age(first: number, newest: number): Promise<void> {
  const { owner } = service.database
  await owner`alter table events disable trigger user`
  await owner`
    update events set recorded_at = clock_timestamp() - ${first} * interval '1 s'
    where position = 0`
  await owner`
    update events set recorded_at = clock_timestamp() - ${newest} * interval '1 s'
    where type = 'ProjectionAttested'`
  await owner`alter table events enable trigger user`
}

test('a failed attestation is logged, and the schedule continues', async () => {
  const { owner } = service.database
  await owner`alter function append_event rename to append_event_elsewhere`
  await flush()
  const schedule = attestations.schedule(MINUTES, logger)
  await until(() => logged.length > 1)
  expect(logged[0]).toMatchObject({ level: 50, msg: 'attestation failed' })
  expect(await countAttestations()).toBe(0)
  await owner`alter function append_event_elsewhere rename to append_event`
  await until(async () => (await countAttestations()) > 0)
  schedule.stop()
})
