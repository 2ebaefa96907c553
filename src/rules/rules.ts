import type { Logger } from 'pino'
import type { Positions } from '../events/positions.ts'
import type { RuleKind, RuleOf, RuleRow } from '../events/rule.ts'
import type { Catalog } from '../log/catalog/catalog.ts'
import { Poll } from '../platform/async/poll.ts'
import { runInTurns } from '../platform/async/turns.ts'
import { isUnavailable, TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Pools } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import { readNewestFinished } from '../proofs/integrity/scheduled/stored.ts'
import type { Projector } from '../read-model/projector/projector.ts'
import type { AsOfQueries } from '../read-model/queries/as-of.ts'
import { readSilences } from '../sources/read.ts'
import { appendRuleEvent } from './append.ts'
import { type Crossing, readCrossings, readImported, readRuleEvents } from './crossings.ts'
import { decide, type Measured, type MeasuredRule, toCount, toEvent } from './decide.ts'
import { measureQuotas } from './quotas.ts'
import { Rates } from './rates.ts'

/** How long (ms) projections are awaited. */
const CATCH_UP_MS = 10_000

/** Events of one evaluation: each is a commit, so this many take a second or two. */
const MAX_EVENTS = 200

export type RulesOptions = {
  pools: Pools
  catalog: Catalog
  /** Updates the catalog. */
  refresh: () => Promise<void>
  projector: Projector
  history: AsOfQueries
  /** `catchUp` returns false if it takes longer. */
  sources: { catchUp(withinMs: number): Promise<boolean> }
  /** True if this instance folds the shard. */
  owns: (shard: number) => boolean
  /** Called when shard 0 has grown up to `position`. */
  onAppended: (shard: number, position: number) => void
  evaluateIntervalMs: number
  logger: Logger
}

/**
 * Evaluates the rules of the catalog, and appends an event for each that is crossed or cleared. The
 * instance that owns shard 0 does so. If two own it for a moment, the events of one are refused.
 */
export class Rules {
  readonly #rates: Rates

  constructor(private readonly options: RulesOptions) {
    const { pools, history } = options
    this.#rates = new Rates({ sql: pools.read, history })
  }

  /** Evaluates at intervals, for as long as the service runs. */
  start(): Poll {
    const { owns, logger, evaluateIntervalMs } = this.options
    const poll: Poll = new Poll(async () => {
      try {
        if (owns(0)) await this.evaluate(() => poll.isStopped)
      } catch (error) {
        if (!isUnavailable(error)) logger.error({ err: error }, 'rules: could not be evaluated')
      }
    }, evaluateIntervalMs)
    return poll.start()
  }

  /**
   * Evaluates all rules. Returns how many events were appended. If killed, those that were appended
   * stay, and the next evaluation finds the others.
   */
  async evaluate(isStopped: () => boolean = () => false): Promise<number> {
    const { pools, catalog, refresh, projector, onAppended } = this.options
    await refresh()
    const rules = [...catalog.rules.values()]
    await readImported(pools.project)
    const { newest, crossings } = await readCrossings(pools.read)
    if (rules.length === 0 && crossings.length === 0) return 0
    const [clock] = await pools.read<{ at: string }[]>`
      select ${pools.read.unsafe(toMicroseconds('clock_timestamp()'))} as at`
    const { at } = clock!
    const heads = await projector.readHeads()
    const { measured, skipped } = await this.#measure(rules, crossings, heads, Date.parse(at))
    const evaluation = { at, heads, measured, skipped, crossings }
    const changes = await runInTurns(decide(evaluation, MAX_EVENTS))
    const over = changes.flatMap((change) => ('crossing' in change ? change.crossing.position : []))
    const crossed = await readRuleEvents(pools.read, over)
    let before = newest
    let appended = 0
    for (const event of changes.map((change) => toEvent(change, crossed))) {
      if (isStopped()) break
      const position = await appendRuleEvent(pools.append, before, event)
      // Another instance has evaluated, too: what it found is read the next time.
      if (position === null) break
      onAppended(0, position)
      before = position
      appended++
    }
    return appended
  }

  /** Measures all rules. Those of a kind that can't be measured, for any reason, are skipped. */
  async #measure(
    rules: readonly RuleRow[],
    crossings: readonly Crossing[],
    heads: Positions,
    nowMs: number,
  ): Promise<{ measured: MeasuredRule[]; skipped: Set<string> }> {
    const { pools, catalog, projector, history, logger } = this.options
    const measured: MeasuredRule[] = []
    const skipped = new Set<string>()
    const measure = async <Kind extends RuleKind>(
      kind: Kind,
      read: (some: RuleOf<Kind>[]) => Promise<MeasuredRule[]>,
    ) => {
      const some = rules.filter((rule): rule is RuleOf<Kind> => rule.kind === kind)
      if (some.length === 0) return
      try {
        measured.push(...(await read(some)))
      } catch (error) {
        if (!isUnavailable(error))
          logger.error({ err: error, kind }, 'rules: could not be measured')
        for (const { name } of some) skipped.add(name)
      }
    }
    const reach = async () => {
      if (!(await projector.reach(heads, CATCH_UP_MS))) throw behind()
    }
    await measure('success_rate', async (some) => {
      await reach()
      // What is retired counts nothing any more.
      const { providerGroups, apiKeys } = catalog
      const isThere = ({ of, id }: RuleOf<'success_rate'>) =>
        (of === 'api_key' ? apiKeys : providerGroups).has(id)
      return this.#rates.measure(some.filter(isThere), nowMs)
    })
    await measure('quota', async (some) => {
      await reach()
      const hashes = new Set<string>()
      for (const { subject } of crossings) if (subject.kind === 'key') hashes.add(subject.id)
      return measureQuotas({ sql: pools.read, projector, history }, some, [...hashes], heads)
    })
    await measure('silent_source', (some) => this.#measureSources(some, heads))
    await measure('failed_verification', (some) => this.#measureVerifications(some, heads))
    return { measured, skipped }
  }

  async #measureSources(
    rules: readonly RuleOf<'silent_source'>[],
    through: Positions,
  ): Promise<MeasuredRule[]> {
    const { pools, sources } = this.options
    if (!(await sources.catchUp(CATCH_UP_MS))) throw behind()
    const silences = await readSilences(pools.read)
    const all = silences.map(
      ({ source, silent, seconds, expected }): Measured => ({
        subject: { kind: 'source', id: source },
        state: silent ? 'crossed' : 'clear',
        value: { silent_seconds: toCount(seconds), expected_seconds: toCount(expected) },
        through,
      }),
    )
    const byName = new Map(all.map((one) => [one.subject.id, one]))
    return rules.map((rule) => {
      const one = rule.source === undefined ? undefined : byName.get(rule.source)
      return { rule, measured: rule.source === undefined ? all : one ? [one] : [] }
    })
  }

  async #measureVerifications(
    rules: readonly RuleOf<'failed_verification'>[],
    through: Positions,
  ): Promise<MeasuredRule[]> {
    const newest = await readNewestFinished(this.options.pools.read)
    if (newest === null) return rules.map((rule) => ({ rule, measured: [] }))
    const { id, problems } = newest
    return rules.map((rule) => ({
      rule,
      measured: [
        {
          subject: { kind: 'log', id: '' },
          state: problems > 0 ? 'crossed' : 'clear',
          value: { verification: id, problems },
          through,
        },
      ],
    }))
  }
}

const behind = () => new TemporarilyUnavailable('projections behind')
