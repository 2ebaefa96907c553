import { isRefusal } from './traffic.ts'

/** Kinds of requests, as docs/explanation/failures.md distinguishes them by how long they take. */
export const REQUEST_KINDS = ['flush', 'read', 'log', 'stream', 'write', 'health'] as const
export type RequestKind = (typeof REQUEST_KINDS)[number]

/** For requests of a kind: their number, how many were not refused, and the longest. */
export type Timing = { count: number; answered: number; longestMs: number }

/** How often (ms) the lateness of this process is measured. */
const POLL_INTERVAL_MS = 20

/**
 * Measures how long requests take. This process runs the clients, the service and the network, so
 * the time by which its timers are late is subtracted: a busy machine does not make a request late.
 */
export class Timings {
  readonly byKind: Record<RequestKind, Timing>
  /** Requests that took longer than the limit of their kind. */
  readonly late: string[] = []
  #lateMs = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly limits: Record<RequestKind, number>) {
    const timings = REQUEST_KINDS.map((kind) => [kind, { count: 0, answered: 0, longestMs: 0 }])
    this.byKind = Object.fromEntries(timings)
    this.#poll()
  }

  /** Starts timing a request. Call the result with its status when it ends, 0 if it has none. */
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

  /** The total time (ms) by which this process has been late. */
  get lateMs(): number {
    return this.#lateMs
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #poll(): void {
    const due = performance.now() + POLL_INTERVAL_MS
    this.#timer = setTimeout(() => {
      this.#lateMs += Math.max(0, performance.now() - due)
      this.#poll()
    }, POLL_INTERVAL_MS)
  }
}

function kindOf(method: string, path: string): RequestKind {
  if (path.startsWith('/health/')) return 'health'
  if (path.endsWith('/flush')) return 'flush'
  if (method !== 'GET') return 'write'
  return path.startsWith('/audit/') ? 'log' : 'read'
}
