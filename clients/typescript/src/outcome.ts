// What an answer means, and how long to wait after it. No clock, no network.

/** What an answer of the service, or of something before it, means for a flush. */
export type Outcome =
  /** It is in the log. */
  | 'accepted'
  /** It may be in the log. */
  | 'unknown'
  /** Too large: nothing was appended. */
  | 'too large'
  /** The service will never accept this body. */
  | 'invalid'
  /** As `invalid`, but it may accept the body without `counted_at`. */
  | 'invalid time'
  /** The service accepts nothing from this client now. */
  | 'paused'

/** Answers after which the flush may or may not be in the log, besides 5xx. */
const UNKNOWN = [408, 425, 429]

export function classify(status: number, body: string): Outcome {
  if (status === 200) return isAnswer(body) ? 'accepted' : 'unknown'
  if (status < 300 || status >= 500 || UNKNOWN.includes(status)) return 'unknown'
  if (status === 413) return 'too large'
  if (status === 422) return 'invalid time'
  if (status !== 400) return 'paused'
  return readError(body).error === 'invalid stats payload' ? 'invalid time' : 'invalid'
}

/** True for the answer to a flush, and not for a page of something between client and service. */
function isAnswer(body: string): boolean {
  const { updated } = readObject(body)
  return Number.isSafeInteger(updated)
}

/** The members `error` and `detail` of problem details; null if they are absent. */
export function readError(body: string): { error: string | null; detail: string | null } {
  const { error, detail } = readObject(body)
  return {
    error: typeof error === 'string' ? error : null,
    detail: typeof detail === 'string' ? detail : null,
  }
}

function readObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

export type Backoff = { firstMs: number; longestMs: number }

export const BACKOFF: Backoff = { firstMs: 500, longestMs: 30_000 }

/** The longest time that an answer may ask to wait. */
const MAX_RETRY_AFTER_MS = 3_600_000

/** The delay after a number of failures in a row, counted from 0. `random` is from 0 to 1. */
export function delayMs(
  failures: number,
  random: number,
  retryAfterMs: number,
  { firstMs, longestMs }: Backoff = BACKOFF,
): number {
  const jitter = random * Math.min(longestMs, firstMs * 2 ** Math.min(failures, 30))
  return Math.max(jitter, Math.min(retryAfterMs, MAX_RETRY_AFTER_MS))
}

/** Reads Retry-After, in seconds or as a date; 0 if it is absent or neither. */
export function readRetryAfterMs(value: string | null, nowMs: number): number {
  if (value === null) return 0
  if (/^\d+$/.test(value.trim())) return Number(value) * 1_000
  const date = Date.parse(value)
  return Number.isNaN(date) ? 0 : Math.max(0, date - nowMs)
}
