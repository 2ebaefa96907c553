import { clearTimeout, setTimeout } from 'node:timers'

/**
 * Waits, or until the signal aborts. A process that has nothing else to do may end meanwhile: the
 * spool keeps what waits.
 */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    timer.unref()
    signal.addEventListener('abort', end)
  })
}
