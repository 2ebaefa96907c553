import { afterEach, beforeEach, expect, test } from 'bun:test'
import pino from 'pino'
import { makeOrigin } from '../../support/origin.ts'
import { saveDatabase } from '../../support/rewind.ts'
import { createDatabase, type TestDatabase } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'
import { until } from '../../support/until.ts'

// A signed tree head covers events that are in the database. If a database has lost signed commits,
// no further head is signed until an operator intervenes.

let database: TestDatabase
let own: Awaited<ReturnType<typeof makeOrigin>>
let service: TestService
let lines: { level: number; msg: string }[]

const start = () =>
  startTestService({
    database,
    shards: 1,
    origin: own.origin,
    logger: pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line)) }),
  })

beforeEach(async () => {
  database = await createDatabase({ shards: 1 })
  own = await makeOrigin()
  lines = []
  service = await start()
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  await post(50)
  await untilSigned()
})
afterEach(async () => {
  await service.stop()
  await own.remove()
  await database.drop()
})

async function post(flushes: number): Promise<void> {
  for (let i = 0; i < flushes; i++) {
    const keys = [{ api_key_id: 1, requests: 1 }]
    expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
  }
}

/** Returns the size and root of the newest head. */
async function readHead(): Promise<{ size: number; root: string }> {
  const note = await (await service.fetch('auditor', '/audit/log/0/checkpoint')).text()
  const [, size, root] = note.split('\n')
  return { size: Number(size), root: root! }
}

async function countEvents(): Promise<number> {
  const [row] = await database.owner`select count(*)::integer as count from events`
  return row!.count as number
}

async function untilSigned(): Promise<void> {
  const events = await countEvents()
  await until(async () => (await readHead()).size >= events)
}

const refusals = () => lines.filter(({ msg }) => msg.includes('not signed'))

/** Restores the kept database, and appends more events than it lost thereby. */
async function loseAndGrow(saved: Awaited<ReturnType<typeof saveDatabase>>): Promise<void> {
  await saved.restore()
  await post(60)
  await until(() => refusals().length > 0)
}

test.each([
  ['while the service runs', false],
  ['right after a start, before a new head is signed', true],
])('no head is signed after commits are lost %s', async (_, restarts) => {
  const saved = await saveDatabase(database.owner)
  await post(30)
  await untilSigned()
  if (restarts) {
    await service.stop()
    service = await start()
  }
  const before = await readHead()
  await loseAndGrow(saved)
  // It stays so, however much is appended: a tree that looks right again may do so by chance.
  await post(40)
  await Bun.sleep(1_500)
  expect(await readHead()).toEqual(before)
  expect(refusals()[0]!.level).toBeGreaterThanOrEqual(50)
})

test('no head is signed before a restart even if the lost commits are restored', async () => {
  const saved = await saveDatabase(database.owner)
  await post(30)
  await untilSigned()
  const before = await readHead()
  const whole = await saveDatabase(database.owner)
  await loseAndGrow(saved)
  await whole.restore()
  await post(5)
  await Bun.sleep(1_500)
  expect(await readHead()).toEqual(before)
  // A start checks the database: it has the tree that was signed.
  await service.stop()
  lines = []
  service = await start()
  await post(5)
  await untilSigned()
  expect(refusals()).toEqual([])
})

test('a start on a database that has lost signed commits is refused', async () => {
  const saved = await saveDatabase(database.owner)
  await post(30)
  await untilSigned()
  await service.stop()
  await saved.restore()
  await expect(start()).rejects.toThrow(/stats\.example\.com/)
  // An operator gives the log a new origin.
  const renewed = await makeOrigin('stats.example.com/2')
  service = await startTestService({ database, shards: 1, origin: renewed.origin })
  await post(5)
  await untilSigned()
  await renewed.remove()
})
