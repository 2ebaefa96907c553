import { api, unwrap } from '../api.ts'
import { useRead } from '../use-read.ts'

/** How often (ms) to look at most while the log grows. */
const LOOK_MS = 5_000

/**
 * Returns the position of the reversal of an event, null if it was not reversed, and undefined
 * until that is known, or if such an event is never reversed. Looks again when a dialog opens or
 * closes.
 */
export function useReversal(
  position: string,
  isReversible: boolean,
  isDialogOpen: boolean,
): string | null | undefined {
  const { value } = useRead(
    `reversal of ${position} ${isReversible} ${isDialogOpen}`,
    async () => {
      if (!isReversible) return undefined
      const query = { reversed: position }
      const { items } = (await unwrap(api.admin.corrections.get({ query }))).value
      return items[0]?.position ?? null
    },
    { everyMs: LOOK_MS, keeps: true },
  )
  return value
}
