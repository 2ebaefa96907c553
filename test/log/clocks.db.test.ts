import { expect, test } from 'bun:test'
import { CLOCK_TOLERANCE } from '../../src/platform/postgres/clock.ts'
import { isUnavailable } from '../../src/platform/postgres/errors.ts'
import { useDatabase } from '../support/server.ts'

// Nothing is recorded while the clocks of service and database disagree.

const database = useDatabase()

const EMPTY = '{"hashes":[],"requests":[],"tokens":[],"last_accessed_at":[],"quota_tracked":[]}'

/** The functions that append, each called with a clock that is off by `skew`. */
const APPENDS = {
  append_batch: (skew: string) => database.owner`
    select from append_batch(0, -1, 'KeyStatsFlushed', '1', 'dp', '', ${EMPTY},
      encode(sha256(${EMPTY}), 'hex'), null, clock_timestamp() + ${skew}::interval,
      ${CLOCK_TOLERANCE}::interval)`,
  append_catalog_change: (skew: string) => database.owner`
    select from append_catalog_change(-1, 1::smallint, 'admin', '{}', encode(sha256('{}'), 'hex'),
      null, clock_timestamp() + ${skew}::interval, ${CLOCK_TOLERANCE}::interval)`,
  append_event: (skew: string) => database.owner`
    select from append_event(0, 'OriginChanged', 1::smallint, 'tallybook', 'key', '{}',
      encode(sha256('{}'), 'hex'), clock_timestamp() + ${skew}::interval,
      ${CLOCK_TOLERANCE}::interval)`,
}

const countEvents = async () => {
  const [row] = await database.owner`select count(*)::integer as count from events`
  return row!.count as number
}

test.each(Object.keys(APPENDS) as (keyof typeof APPENDS)[])(
  '%s refuses a clock that is off by minutes, fast or slow, and accepts one that is off by seconds',
  async (name) => {
    const before = await countEvents()
    for (const skew of ['2 minutes', '-2 minutes', '2 days', '-10 years']) {
      const error = await APPENDS[name](skew).catch((failure: unknown) => failure)
      const { code } = error as { code?: string }
      expect([skew, code, isUnavailable(error)]).toEqual([skew, 'TB002', true])
    }
    expect(await countEvents()).toBe(before)
    await APPENDS[name]('-20 seconds')
    expect(await countEvents()).toBe(before + 1)
  },
)
