import type { Logger } from 'pino'
import type { Verifications } from './run.ts'

/** Milliseconds between two checks of the clock, which may be changed at any time. */
const POLL_INTERVAL_MS = 20_000

/** A time of day, UTC. */
export type TimeOfDay = { hour: number; minute: number }

/** Returns the last time at or before `now` that had this time of day. */
export function lastDue({ hour, minute }: TimeOfDay, now: Date): Date {
  const due = new Date(now)
  due.setUTCHours(hour, minute, 0, 0)
  if (due > now) due.setUTCDate(due.getUTCDate() - 1)
  return due
}

/**
 * Starts a verification every day at this time. One that was due while no instance ran is skipped.
 * If several instances run, the first to check the clock runs it, and the others find it done.
 */
export function scheduleVerifications(
  at: TimeOfDay,
  verifications: Verifications,
  logger: Logger,
): { stop(): void } {
  let done = lastDue(at, new Date()).getTime()
  const timer = setInterval(() => {
    const due = lastDue(at, new Date())
    if (due.getTime() <= done) return
    done = due.getTime()
    verifications.start(due.toISOString()).catch((error: unknown) => {
      logger.error({ err: error }, 'verification: could not start')
    })
  }, POLL_INTERVAL_MS)
  return { stop: () => clearInterval(timer) }
}
