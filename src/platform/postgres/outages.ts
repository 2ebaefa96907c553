import type { Logger } from 'pino'
import { nodeOf } from './errors.ts'

/** Milliseconds between two lines about the same node. */
const QUIET_MS = 30_000

/** What is said: while it lasts, and once it is over. */
export type OutageLines = { level: 'warn' | 'error'; begun: string; ended: string }

type Outage = {
  /** Who has failed and not succeeded since, and the shard of each. */
  failing: Map<string, number>
  since: number
  loggedAt: number
  /** Whether it was said, so that its end is, too. */
  isLogged: boolean
  failures: number
}

/**
 * Says in the service's log that the database doesn't do something, and why: once for all shards of
 * a node, at once and then now and then, however often it is tried.
 */
export class Outages {
  /** By node; '' where the error names none: the server itself, or the coordinator. */
  readonly #nodes = new Map<string, Outage>()

  constructor(
    private readonly logger: Logger,
    private readonly lines: OutageLines,
  ) {}

  /** It has failed for a shard; `who` tells apart what may fail of one shard. */
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

  /** It has succeeded for a shard. */
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

/** What the database has said, where it was put into other words since. */
function causeOf(error: unknown): { code?: string; message?: string } {
  const { cause } = error as Error
  return (cause ?? error) as { code?: string; message?: string }
}
