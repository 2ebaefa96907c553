import { isOvertaken, NotNow } from '../db/errors.ts'

/** How often something is appended that others overtake: once in a move, and rarely twice. */
const TRIES = 5

/**
 * Appends, and again at once where another has taken the place in the log meanwhile. The lock of the
 * shard's row rules that out on one server. On Citus, while a shard moves, the row may be locked in
 * its old place and the event be inserted in the new one, where others append: it was rolled back as
 * a whole, and the next try finds all in the new place. Throws NotNow where no try succeeds.
 */
export async function appendAgain<Value>(append: () => Promise<Value>): Promise<Value> {
  for (let tries = 1; ; tries++) {
    try {
      return await append()
    } catch (error) {
      if (!isOvertaken(error)) throw error
      if (tries === TRIES) {
        throw new NotNow(`overtaken ${TRIES} times: ${(error as Error).message}`, { cause: error })
      }
    }
  }
}
