import { isNotInStep, isOvertaken, TemporarilyUnavailable } from '../platform/postgres/errors.ts'

/** Attempts at an append that others overtake: once in a move, and rarely twice. */
const TRIES = 5

/**
 * Appends, and retries at once if another append has taken the position first. On one server, the
 * lock on the shard's row rules that out. On Citus, while a shard moves, the row may be locked in
 * its old location and the event inserted in the new one, where others append. That is rolled back
 * as a whole, and the next attempt finds everything in the new location. An append that fails while
 * the nodes are being notified of a change is retried as well. Throws TemporarilyUnavailable, with
 * the last error as its cause, if no attempt succeeds.
 */
export async function retryOvertaken<Value>(append: () => Promise<Value>): Promise<Value> {
  for (let tries = 1; ; tries++) {
    try {
      return await append()
    } catch (error) {
      if (!isOvertaken(error) && !isNotInStep(error)) throw error
      if (tries === TRIES) {
        throw Object.assign(new TemporarilyUnavailable('database unavailable'), { cause: error })
      }
    }
  }
}
