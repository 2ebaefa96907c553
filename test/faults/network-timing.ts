import { isRefusal } from './traffic.ts'

/** Kinds of requests, as docs/explanation/failures.md tells them apart where it says how long each takes. */
export const REQUEST_KINDS = ['flush', 'read', 'log', 'stream', 'write', 'health'] as const
export type RequestKind = (typeof REQUEST_KINDS)[number]

/** Of requests of a kind: how many, how many of them were not refused, the longest. */
export type Timing = { count: number; answered: number; longestMs: number }

/** Milliseconds between two looks how late this process is. */
const POLL_INTERVAL_MS = 20

/**
 * How long requests take. What this process is late, which has the clients, the service and the
 * network in it, is taken off: a request isn't late because the machine has other things to do.
 */
export class Timings {
  readonly byKind: Record<RequestKind, Timing>
  /** Requests that took longer than their kind may. */
  readonly late: string[] = []
  #lateMs = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly limits: Record<RequestKind, number>) {
    const timings = REQUEST_KINDS.map((kind) => [kind, { count: 0, answered: 0, longestMs: 0 }])
    this.byKind = Object.fromEntries(timings)
    this.#look()
  }

  /** Begins to time a request; the function is told its status when it has ended, 0 for none. */
  begin(method: string, url: string): (status: number) => void {
    const what = `${method} ${new URL(url).pathname}`
    return this.beginKind(kindOf(method, new URL(url).pathname), what)
  }

  beginKind(kind: RequestKind, what: string): (status: number) => void {
    const [started, lateMs] = [performance.now(), this.#lateMs]
    const timing = this.byKind[kind]
    return (status) => {
      const took = Math.max(0, performance.now() - started - (this.#lateMs - lateMs))
      timing.count++
      if (status !== 0 && !isRefusal(status)) timing.answered++
      timing.longestMs = Math.max(timing.longestMs, Math.round(took))
      if (took > this.limits[kind]) {
        this.late.push(`${what} took ${Math.round(took)} ms, ${this.limits[kind]} at most`)
      }
    }
  }

  /** Milliseconds that this process was late until now, in sum. */
  get lateMs(): number {
    return this.#lateMs
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #look(): void {
    const due = performance.now() + POLL_INTERVAL_MS
    this.#timer = setTimeout(() => {
      this.#lateMs += Math.max(0, performance.now() - due)
      this.#look()
    }, POLL_INTERVAL_MS)
  }
}

function kindOf(method: string, path: string): RequestKind {
  if (path.startsWith('/health/')) return 'health'
  if (path.endsWith('/flush')) return 'flush'
  if (method !== 'GET') return 'write'
  return path.startsWith('/audit/') ? 'log' : 'read'
}
