import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Driver,
  findDrivers,
  forScenarios,
  oneOfEach,
} from '../../clients/conformance/drivers.ts'
import type { Fault } from '../../clients/conformance/fault-server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { printTallies } from './tally.ts'
import { putKeys, World } from './world.ts'

// Whatever happens between a client and the service: what is sealed counts exactly once. Faults are
// tried with every driver that was found, the rest with the first one of each language, or by
// default with the first one, because a process costs much.

const FAULTS: Fault[] = [
  ...(['drop', 'drop after commit', 'cut after commit', 'hang', 'hang after commit'] as const),
  ...(['malformed', 'malformed after commit', 'status 503', 'status 503 after commit'] as const),
  ...([
    'status 408',
    'status 425',
    'status 429',
    'status 500',
    'status 401',
    'status 302',
  ] as const),
]

// Building is outside of hooks, whose time is limited.
const { drivers, remove } = await findDrivers()
const some = forScenarios(drivers)

let service: TestService

beforeAll(async () => {
  service = await startTestService({ bodyLimitBytes: 1_024 })
  await putKeys(service, drivers.length * 200)
})

afterAll(async () => {
  printTallies()
  await remove()
  await service.end()
})

/** Runs a scenario with some drivers, each with a spool of its own. */
async function withEach(
  chosen: readonly Driver[],
  scenario: (world: World) => Promise<void>,
): Promise<void> {
  for (const driver of chosen) {
    const world = await World.open(service, driver)
    try {
      await scenario(world)
    } finally {
      await world.close()
    }
  }
}

test('each fault of the network or the service loses and doubles nothing', () =>
  withEach(drivers, async (world) => {
    const client = world.start({ timeout_ms: 150 })
    for (const fault of FAULTS) {
      world.faults.next.push(fault)
      await world.record(client)
      await client.send('drained')
    }
    expect(await client.send('close')).toMatchObject({ flushes: 0, unsealed: 0, rejected: 0 })
    await client.exited()
    expect(await world.differences()).toEqual([])
    expect(await world.missing()).toEqual([])
    // Every fault was met, and the sequence is complete.
    expect(world.faults.arrived.map(({ fault }) => fault)).toEqual(expect.arrayContaining(FAULTS))
    const sequences = new Set(world.faults.arrived.map(({ sequence }) => sequence!.split('/')[1]))
    expect([...sequences]).toEqual([...FAULTS.keys(), `${FAULTS.length};last`].map(String))
    expect(client.events.map(({ event }) => event)).toEqual([
      ...['paused', 'resumed', 'paused', 'resumed'],
    ])
  }))

test('a client that is killed while an attempt is in progress sends it again', () =>
  withEach(some, async (world) => {
    for (const fault of ['hang', 'hang after commit'] as const) {
      world.faults.always = fault
      const client = world.start()
      const before = world.faults.arrived.length
      await world.record(client)
      const isAnswered = fault === 'hang' ? null : 200
      await world.faults.until(
        (arrived) =>
          world.faults.arrived.indexOf(arrived) >= before && arrived.status === isAnswered,
      )
      await client.kill()
      expect(await world.files('attempted')).toHaveLength(1)
      world.faults.always = 'none'
      const next = world.start()
      await next.send('drained')
      await next.kill()
    }
    expect(await world.differences()).toEqual([])
    expect(await world.missing()).toEqual([])
  }))

test('a flush above the limit is split until its parts fit', () =>
  withEach(some, async (world) => {
    const client = world.start()
    await world.record(client, 50)
    await client.send('close')
    await client.exited()
    expect(await world.differences()).toEqual([])
    expect(await world.missing()).toEqual([])
    const keys = world.faults.arrived.filter(({ status }) => status === 200)
    expect(keys.length).toBeGreaterThan(3)
    expect(keys.slice(0, -1).every(({ key }) => /\/0(\.[12])+$/.test(key!))).toBe(true)
    // The last part carries the sequence, then comes the end.
    expect(keys.flatMap(({ sequence }) => sequence?.split('/')[1] ?? [])).toEqual(['0', '1;last'])
  }))

test('a flush that may be in the log is not split', () =>
  withEach(some, async (world) => {
    const client = world.start()
    // The next flush has the connection of this one. Such a request must not be sent again without
    // the client's knowledge.
    await world.record(client)
    await client.send('drained')
    world.faults.next.push('drop after commit', 'status 413')
    await world.record(client, 2)
    await client.send('drained')
    expect(client.events).toMatchObject([{ event: 'rejected', status: 413, error: 'injected' }])
    expect(await world.files('rejected')).toHaveLength(2)
    await client.kill()
    expect(await world.differences()).toEqual([])
    expect(await world.missing()).toEqual([])
  }))

test('an outage merges what was never attempted, also after a kill', () =>
  withEach(some, async (world) => {
    // The one flush that is attempted is in the log, so it must not be merged.
    world.faults.always = 'status 503 after commit'
    const limits = { spool_limits: { flushes: 4, bytes: 1_000_000 } }
    const client = world.start(limits)
    for (let i = 0; i < 10; i++) await world.record(client)
    expect((await world.files('sealed')).length).toBeLessThan(6)
    await world.faults.until(() => true)
    await client.kill()
    // Nothing but the flush of the attempts has reached the fault server.
    expect(new Set(world.faults.arrived.map(({ sequence }) => sequence)).size).toBe(1)
    world.faults.always = 'none'
    const next = world.start(limits)
    await next.send('drained')
    await next.kill()
    expect(await world.differences()).toEqual([])
    expect(await world.missing()).toEqual([])
    const arrived = world.faults.arrived.filter(({ status }) => status === 200)
    const ranges = [...new Set(arrived.map(({ sequence }) => sequence!.split('/')[1]!))]
    expect(ranges.some((range) => /^\d+-\d+$/.test(range))).toBe(true)
    const numbers = ranges.flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number)
      return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i)
    })
    expect(numbers.sort((a, b) => a - b)).toEqual([...Array(10).keys()])
  }))

test('a client merges and sends what one in another language has left', async () => {
  const languages = oneOfEach(drivers)
  for (const [i, driver] of languages.entries()) {
    const world = await World.open(service, driver)
    try {
      world.faults.always = 'status 503 after commit'
      const client = world.start()
      for (let step = 0; step < 5; step++) await world.record(client)
      await client.kill()
      const limits = { spool_limits: { flushes: 2, bytes: 1_000_000 } }
      const next = world.start(limits, languages[(i + 1) % languages.length]!)
      await world.record(next)
      expect((await world.files('sealed')).some((file) => /_\d+-\d+\.json$/.test(file))).toBe(true)
      world.faults.always = 'none'
      await next.send('drained')
      await next.kill()
      expect(await world.differences()).toEqual([])
    } finally {
      await world.close()
    }
  }
})

test('a body that the service refuses goes to rejected, and what follows is sent', () =>
  withEach(some, async (world) => {
    const client = world.start()
    const counts = { requests: 1, dimensions: { undeclared: 'x' } }
    await client.send('record', { key: 1, counts })
    await client.send('seal')
    await world.record(client)
    await client.send('drained')
    await client.kill()
    expect(client.events).toMatchObject([
      { event: 'rejected', status: 400, error: 'invalid stats payload' },
    ])
    const [flush, reason] = (await world.files('rejected')).sort()
    expect(reason).toBe(flush!.replace('.json', '.reason.json'))
    expect(await world.differences()).toEqual([])
    // It was given up, and is missing.
    expect(await world.missing()).toEqual([[0, 0]])
  }))

test('a flush whose counted_at is refused counts without it, also after a kill', () =>
  withEach(some, async (world) => {
    world.faults.always = 'status 503'
    const client = world.start()
    await world.record(client)
    await world.faults.until(() => true)
    await client.kill()
    // The disk was away for a year.
    const [file] = await world.files('attempted')
    const path = join(world.spool, 'attempted', file!)
    const flush = JSON.parse(await readFile(path, 'utf8'))
    const { keys, counted_at } = JSON.parse(flush.body)
    const body = JSON.stringify({ counted_at: counted_at - 31_536_000, keys })
    await writeFile(path, JSON.stringify({ ...flush, body }))
    world.faults.always = 'none'
    // The first attempt is refused; the one without the time is appended, and its answer is lost.
    world.faults.next.push('none', 'hang after commit')
    const second = world.start()
    await world.faults.until(({ fault, status }) => fault === 'hang after commit' && status === 200)
    await second.kill()
    const third = world.start()
    await third.send('drained')
    await third.kill()
    expect(await world.files('rejected')).toEqual([])
    expect(await world.differences()).toEqual([])
    expect(await world.missing()).toEqual([])
  }))
