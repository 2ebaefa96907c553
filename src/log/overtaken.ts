import { isNotInStep, isOvertaken, TemporarilyUnavailable } from '../platform/postgres/errors.ts'

/** How often something is appended that others overtake: once in a move, and rarely twice. */
const TRIES = 5

/**
 * Appends, and again at once where another has taken the place in the log meanwhile. On one server
 * the lock of the shard's row rules that out. On Citus, while a shard moves, the row may be locked
 * in its old place and the event be inserted in the new one, where others append. That is rolled
 * back as a whole, and the next try finds all in the new place. So it may where the nodes are being
 * told of a change. Throws TemporarilyUnavailable, with the last error as its cause, where no try
 * succeeds.
 */
export async function appendAgain<Value>(append: () => Promise<Value>): Promise<Value> {
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
