import type { Logger } from 'pino'
import { nodeOf } from './errors.ts'

/** The minimum time (ms) between two log messages about the same node. */
const QUIET_MS = 30_000

/** The log messages of an outage: while it lasts, and once it is over. */
export type OutageLines = { level: 'warn' | 'error'; begun: string; ended: string }

type Outage = {
  /** The operations that failed and have not succeeded since, each with its shard. */
  failing: Map<string, number>
  since: number
  loggedAt: number
  /** True if the outage was logged, so that its end is logged too. */
  isLogged: boolean
  failures: number
}

/**
 * Logs that the database fails to do something, and why. There is one message for all shards of a
 * node, immediately and then every 30 s at most, however often the operation is retried.
 */
export class Outages {
  /** By node; '' if the error names none: the server itself, or the coordinator. */
  readonly #nodes = new Map<string, Outage>()

  constructor(
    private readonly logger: Logger,
    private readonly lines: OutageLines,
  ) {}

  /** Records a failure for a shard; `operation` distinguishes operations on the same shard. */
  note(shard: number, error: unknown, operation = ''): void {
    const node = nodeOf(error)
    const outage = this.#find(node ?? '')
    const now = performance.now()
    if (outage.failing.size === 0) outage.since = now
    outage.failing.set(`${shard} ${operation}`, shard)
    outage.failures++
    if (now - outage.loggedAt < QUIET_MS) return
    outage.loggedAt = now
    outage.isLogged = true
    const { code, message } = causeOf(error)
    const shards = [...new Set(outage.failing.values())].sort((a, b) => a - b)
    const what = { shards, ...(node && { node }), code, reason: message }
    this.logger[this.lines.level]({ ...what, failures: outage.failures }, this.lines.begun)
  }

  /** Records a success for a shard, and logs the end of the outage if it was the last to fail. */
  end(shard: number, operation = ''): void {
    for (const [node, outage] of this.#nodes) {
      if (!outage.failing.delete(`${shard} ${operation}`) || outage.failing.size > 0) continue
      const seconds = Math.round((performance.now() - outage.since) / 1_000)
      if (outage.isLogged) this.logger.warn({ ...(node && { node }), seconds }, this.lines.ended)
      outage.isLogged = false
      outage.failures = 0
    }
  }

  #find(node: string): Outage {
    const none = { since: 0, loggedAt: Number.NEGATIVE_INFINITY, isLogged: false, failures: 0 }
    const outage = this.#nodes.get(node) ?? { failing: new Map(), ...none }
    this.#nodes.set(node, outage)
    return outage
  }
}

/** Returns the database's own error if this one wraps it. */
function causeOf(error: unknown): { code?: string; message?: string } {
  const { cause } = error as Error
  return (cause ?? error) as { code?: string; message?: string }
}
