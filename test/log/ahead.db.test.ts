import { afterEach, expect, test } from 'bun:test'
import pino from 'pino'
import { LogAhead } from '../../src/log/ahead.ts'
import { insertEvent } from '../support/events.ts'
import { useDatabase, usePools } from '../support/server.ts'
import { until } from '../support/until.ts'

// A log whose newest event is in the future, for example after a wrong clock: operators are warned.

const DAY_S = 86_400

const database = useDatabase({ shards: 1 })
const pools = usePools(database)

let lines: { msg: string; seconds?: number }[] = []
const logger = pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line)) })
const readLogged = () =>
  lines.filter(({ msg }) => msg.startsWith('log: the newest event is in the future'))

afterEach(() => {
  lines = []
})

/** Appends an event that is `seconds` ahead of now. */
const insertAhead = (seconds: number) =>
  insertEvent(database.owner, {
    recordedAt: new Date(Date.now() + seconds * 1_000).toISOString(),
  })

/** Returns how far ahead the log is at the first poll. */
async function readAhead(): Promise<number> {
  const ahead = new LogAhead({ sql: pools.read, logger })
  const poll = ahead.start()
  const seconds = await until(() => ahead.seconds)
  poll.stop()
  return seconds
}

test('an empty log logs no warning', async () => {
  expect([await readAhead(), readLogged()]).toEqual([0, []])
})

test.each([-DAY_S, 0, 30])('a newest event %p s ahead logs no warning', async (ahead) => {
  await insertAhead(ahead)
  expect([await readAhead(), readLogged()]).toEqual([0, []])
})

test.each([90, 2 * DAY_S, 3_650 * DAY_S])(
  'a newest event %p s ahead logs a warning',
  async (ahead) => {
    await insertAhead(ahead)
    const seconds = await readAhead()
    expect(seconds).toBeGreaterThan(ahead - 60)
    expect(seconds).toBeLessThanOrEqual(ahead)
    expect(readLogged()).toMatchObject([{ seconds: Math.round(seconds) }])
  },
)
