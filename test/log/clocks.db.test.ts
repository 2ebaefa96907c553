import { expect, test } from 'bun:test'
import { CLOCK_TOLERANCE } from '../../src/platform/postgres/clock.ts'
import { isClockApart, isUnavailable } from '../../src/platform/postgres/errors.ts'
import { useDatabase } from '../support/server.ts'

// What would be recorded under a clock that is wrong is not recorded.

const database = useDatabase()

const EMPTY = '{"hashes":[],"requests":[],"tokens":[],"last_accessed_at":[],"quota_tracked":[]}'

/** What each way to append does with a caller whose clock is that far away. */
const APPENDS = {
  append_batch: (apart: string) => database.owner`
    select from append_batch(0, -1, 'KeyStatsFlushed', '1', 'dp', '', ${EMPTY},
      encode(sha256(${EMPTY}), 'hex'), null, clock_timestamp() + ${apart}::interval,
      ${CLOCK_TOLERANCE}::interval)`,
  append_catalog_change: (apart: string) => database.owner`
    select from append_catalog_change(-1, 1::smallint, 'admin', '{}', encode(sha256('{}'), 'hex'),
      null, clock_timestamp() + ${apart}::interval, ${CLOCK_TOLERANCE}::interval)`,
  append_event: (apart: string) => database.owner`
    select from append_event(0, 'OriginChanged', 1::smallint, 'tallybook', 'key', '{}',
      encode(sha256('{}'), 'hex'), clock_timestamp() + ${apart}::interval,
      ${CLOCK_TOLERANCE}::interval)`,
}

const countEvents = async () => {
  const [row] = await database.owner`select count(*)::integer as count from events`
  return row!.count as number
}

test.each(Object.keys(APPENDS) as (keyof typeof APPENDS)[])(
  '%s refuses a clock that is minutes away, either way, and takes one that is seconds away',
  async (name) => {
    const before = await countEvents()
    for (const apart of ['2 minutes', '-2 minutes', '2 days', '-10 years']) {
      const error = await APPENDS[name](apart).catch((failure: unknown) => failure)
      expect([apart, isClockApart(error), isUnavailable(error)]).toEqual([apart, true, true])
    }
    expect(await countEvents()).toBe(before)
    await APPENDS[name]('-20 seconds')
    expect(await countEvents()).toBe(before + 1)
  },
)
