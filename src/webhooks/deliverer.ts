import type { Logger } from 'pino'
import { Poll } from '../platform/async/poll.ts'
import { Semaphore } from '../platform/async/semaphore.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Pools } from '../platform/postgres/pool.ts'
import { readContents, testContent, toMessage } from './message.ts'
import {
  type Due,
  deleteOld,
  giveBack,
  isDelivered,
  makeFutureDue,
  noteWorking,
  queueEvents,
  readDueWebhooks,
  recordOutcome,
  takeDue,
} from './outbox.ts'
import { type Outcome, type SendOptions, send } from './send.ts'
import { readTarget, type Target } from './store.ts'

/**
 * Attempts under way at once, to one webhook and to all. A webhook without any may always begin
 * one: those that never answer would otherwise take every turn.
 */
const MAX_OF_ONE = 4
const MAX_OF_ALL = 16

/** How often (ms) old deliveries are deleted, and those of a wrong clock are looked for. */
const DELETE_INTERVAL_MS = 3_600_000
const CLOCK_INTERVAL_MS = 60_000

export type DelivererOptions = {
  pools: Pools
  /** True if this instance folds the shard. */
  owns: (shard: number) => boolean
  logger: Logger
  pollIntervalMs: number
  sending: SendOptions
}

/**
 * Sends the events of rules to the webhooks. The instance that owns shard 0 does so. A delivery is
 * taken before its attempt and finished after it: if the process is killed in between, the attempt
 * is made again.
 */
export class Deliverer {
  readonly #underWay = new Map<string, number>()
  readonly #running = new Set<Promise<void>>()
  readonly #stopping = new AbortController()
  readonly #poll: Poll
  readonly #tests = new Semaphore(MAX_OF_ONE)
  #deletedAt = Number.NEGATIVE_INFINITY
  #clockCheckedAt = Number.NEGATIVE_INFINITY

  constructor(private readonly options: DelivererOptions) {
    this.#poll = new Poll(() => this.#deliver(), options.pollIntervalMs)
  }

  start(): void {
    this.#poll.start()
  }

  /** Looks for new events at once. */
  notice(): void {
    void this.#poll.now()
  }

  /** Cuts the attempts under way, which are made again, and resolves when they have ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#poll.stop()
    await Promise.all(this.#running)
  }

  /**
   * Makes one attempt of a test delivery. Few are made at a time. After a success the webhook no
   * longer counts as failing: there may be no event to show that for weeks.
   */
  async test(name: string, target: Target): Promise<Outcome> {
    const outcome = await this.#tests.run(() => {
      const now = new Date()
      const message = toMessage(target, testContent(name, now), unixSeconds(now))
      return send(message, this.options.sending, this.#stopping.signal)
    })
    if (isDelivered(outcome)) await noteWorking(this.options.pools.project, name)
    return outcome
  }

  async #deliver(): Promise<void> {
    const { pools, owns, logger } = this.options
    if (!owns(0)) return
    try {
      await this.#keepHouse()
      await queueEvents(pools.project)
      for (const webhook of await readDueWebhooks(pools.project)) {
        if (this.#poll.isStopped) return
        const free = this.#countFree(webhook)
        if (free <= 0) continue
        for (const due of await takeDue(pools.project, webhook, free)) this.#begin(due)
      }
    } catch (error) {
      if (!isUnavailable(error)) logger.error({ err: error }, 'webhooks: could not be sent')
    }
  }

  #countFree(webhook: string): number {
    const own = this.#underWay.get(webhook) ?? 0
    const free = Math.min(MAX_OF_ONE - own, MAX_OF_ALL - this.#running.size)
    return own === 0 ? Math.max(1, free) : free
  }

  #begin(due: Due): void {
    const { webhook } = due
    this.#underWay.set(webhook, (this.#underWay.get(webhook) ?? 0) + 1)
    const running = this.#attempt(due).finally(() => {
      this.#underWay.set(webhook, this.#underWay.get(webhook)! - 1)
      this.#running.delete(running)
      // There may be more of this webhook.
      this.notice()
    })
    this.#running.add(running)
  }

  /** Never rejects. What could not be recorded is attempted again. */
  async #attempt(due: Due): Promise<void> {
    const { pools, logger, sending } = this.options
    const { webhook, position, attempt } = due
    try {
      const [target, contents] = await Promise.all([
        readTarget(pools.project, webhook),
        readContents(pools.project, [position]),
      ])
      const content = contents.get(position)
      if (target === null || content === undefined) return
      const message = toMessage(target, content, unixSeconds(new Date()))
      const outcome = await send(message, sending, this.#stopping.signal)
      if (outcome.error === 'stopped') return await giveBack(pools.project, due)
      const state = await recordOutcome(pools.project, due, outcome)
      const { status, error } = outcome
      const what = { webhook, position, attempt, status, error }
      if (state === 'given_up') logger.error(what, 'webhooks: a delivery was given up')
      else if (state === 'pending') logger.warn(what, 'webhooks: an attempt failed')
    } catch (error) {
      if (!isUnavailable(error)) logger.error({ err: error, webhook, position }, 'webhooks: failed')
    }
  }

  /** Does what has to be done now and then. */
  async #keepHouse(): Promise<void> {
    const { project } = this.options.pools
    if (performance.now() - this.#clockCheckedAt >= CLOCK_INTERVAL_MS) {
      await makeFutureDue(project)
      this.#clockCheckedAt = performance.now()
    }
    if (performance.now() - this.#deletedAt >= DELETE_INTERVAL_MS) {
      await deleteOld(project)
      this.#deletedAt = performance.now()
    }
  }
}

const unixSeconds = (now: Date) => Math.floor(now.getTime() / 1_000)
