import { afterAll, beforeAll, expect, test } from 'bun:test'
import { findDrivers, forScenarios, IS_COMPLETE } from '../../clients/conformance/drivers.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { printTallies } from './tally.ts'
import { putKeys, World } from './world.ts'

// A client that is killed before any change of its disk: what is sealed counts exactly once.
// TALLYBOOK_TEST_CLIENTS=all tries every change with every driver, instead of a sample.

/** The steps of a sample. */
const SAMPLE = 17

/** A complete run starts some 250 processes for each driver. */
const TIMEOUT_MS = IS_COMPLETE ? 1_800_000 : 120_000

// Building is outside of hooks, whose time is limited.
const { drivers: all, remove } = await findDrivers()
const drivers = forScenarios(all)

let service: TestService

beforeAll(async () => {
  service = await startTestService()
  await putKeys(service, drivers.length * (IS_COMPLETE ? 1_000 : 60))
})

afterAll(async () => {
  printTallies()
  await remove()
  await service.end()
})

type Scenario = (world: World, killAt: number) => Promise<boolean>

/** Seals, sends, splits, and sends the parts. Returns false if the client was killed. */
const splitting: Scenario = async (world, killAt) => {
  const client = world.start({ kill_at: killAt })
  world.faults.maxEntries = 2
  const isAlive =
    (await world.record(client)) &&
    (await client.send('drained')) !== null &&
    (await world.record(client, 3)) &&
    (await client.send('drained')) !== null
  await client.kill()
  return isAlive
}

/** Seals during an outage until flushes are merged, then sends them. */
const merging: Scenario = async (world, killAt) => {
  world.faults.always = 'status 503 after commit'
  const spool_limits = { flushes: 3, bytes: 1_000_000 }
  const client = world.start({ kill_at: killAt, spool_limits })
  let isAlive = true
  for (let i = 0; i < 4 && isAlive; i++) isAlive = await world.record(client)
  world.faults.always = 'none'
  isAlive = isAlive && (await client.send('drained')) !== null
  await client.kill()
  return isAlive
}

async function crashEverywhere(scenario: Scenario, fewest: number): Promise<void> {
  for (const driver of drivers) {
    let killAt = 1
    for (let isAlive = false; !isAlive; killAt += IS_COMPLETE ? 1 : SAMPLE) {
      const world = await World.open(service, driver)
      try {
        isAlive = await scenario(world, killAt)
        world.faults.next.length = 0
        world.faults.always = 'none'
        // A flush whose split has begun is split again. One that was killed in its attempt may be in
        // the log, so it has to be sent whole.
        if (!(await world.files('sealed')).some((file) => /\.1\.json/.test(file)))
          world.faults.maxEntries = Number.POSITIVE_INFINITY
        const next = world.start()
        expect(await next.send('drained')).not.toBeNull()
        await next.kill()
        expect({ killAt, differences: await world.differences() }).toEqual({
          killAt,
          differences: [],
        })
        expect(await world.missing()).toEqual([])
      } finally {
        await world.close()
      }
    }
    expect(killAt).toBeGreaterThan(fewest)
  }
}

test('a kill while sealing, sending or splitting', () => crashEverywhere(splitting, 40), TIMEOUT_MS)

test('a kill while merging', () => crashEverywhere(merging, 40), TIMEOUT_MS)
