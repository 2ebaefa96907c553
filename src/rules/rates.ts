import { covers, type Positions } from '../events/positions.ts'
import type { RuleOf } from '../events/rule.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { toArray } from '../read-model/projections/array.ts'
import { CURRENT } from '../read-model/projections/index.ts'
import type { AsOfQueries } from '../read-model/queries/as-of.ts'
import { readNow } from '../read-model/queries/live.ts'
import type { Source } from '../read-model/queries/live-source.ts'
import { type ActCounts, Acts, add, type Counts, type RatedKind } from './acts.ts'
import { type Measured, type MeasuredRule, toCount } from './decide.ts'

type RateRule = RuleOf<'success_rate'>

/** Counts as of positions, kept while windows begin there. */
type Kept = { positions: Positions; counts: Counts }

const MINUTE_MS = 60_000

/**
 * Measures success rates: what the counters grew by in the window, less what acts added. Windows
 * begin at whole minutes, so that a read of the past serves many evaluations.
 */
export class Rates {
  #starts = new Map<string, Kept>()
  readonly #acts: Acts

  constructor(private readonly options: { sql: Sql; history: AsOfQueries }) {
    this.#acts = new Acts(options)
  }

  /**
   * Measures rules at a time (milliseconds since 1970). Throws TemporarilyUnavailable while the
   * projections are behind.
   */
  async measure(rules: readonly RateRule[], nowMs: number): Promise<MeasuredRule[]> {
    const starts = new Map<string, Kept>()
    const measured: MeasuredRule[] = []
    for (const kind of ['provider_group', 'api_key'] as const) {
      const some = rules.filter(({ of }) => of === kind)
      if (some.length > 0) measured.push(...(await this.#measureKind(kind, some, nowMs, starts)))
    }
    this.#starts = starts
    return measured
  }

  async #measureKind(
    kind: RatedKind,
    rules: readonly RateRule[],
    nowMs: number,
    starts: Map<string, Kept>,
  ): Promise<MeasuredRule[]> {
    const ids = [...new Set(rules.map(({ id }) => id))].sort((a, b) => a - b)
    const { value: now, positions: through } = await this.#readNow(kind, ids)
    const byMinutes = new Map<number, Kept>()
    for (const minutes of new Set(rules.map((rule) => rule.minutes))) {
      const start = await this.#readStart(starts, kind, ids, startOfWindow(nowMs, minutes))
      if (!covers(through, start.positions)) {
        throw new TemporarilyUnavailable('projections behind')
      }
      byMinutes.set(minutes, start)
    }
    const after = Math.min(...[...byMinutes.values()].map(({ positions }) => positions[0]!))
    const acts = await this.#acts.read(kind, ids, { after, through: through[0]! })
    return [...byMinutes].flatMap(([minutes, start]) => {
      const posted = sumAfter(acts, start.positions[0]!)
      return rules
        .filter((rule) => rule.minutes === minutes)
        .map((rule) => {
          const grown = new Map([[rule.id, subtract(now, start.counts, rule.id)]])
          const counts = subtract(grown, posted, rule.id)
          return { rule, measured: [toMeasured(rule, counts, start, through)] }
        })
    })
  }

  #readNow(kind: RatedKind, ids: readonly number[]) {
    return readNow(
      this.options.sql,
      (transaction, source) => readCounts(transaction, source, kind, ids),
      CURRENT,
    )
  }

  async #readStart(
    starts: Map<string, Kept>,
    kind: RatedKind,
    ids: readonly number[],
    since: string,
  ): Promise<Kept> {
    const key = `${kind} ${since} ${ids.join()}`
    let start = starts.get(key) ?? this.#starts.get(key)
    if (start === undefined) {
      const { sql, history } = this.options
      const positions = (await history.positionsAsOf(since))!
      const counts = await history.read(sql, positions, { kind, account: null }, (to, source) =>
        readCounts(to, source, kind, ids),
      )
      start = { positions, counts }
    }
    starts.set(key, start)
    return start
  }
}

/** Returns when a window of so many minutes began (RFC 3339). */
export function startOfWindow(nowMs: number, minutes: number): string {
  const stepMs = minutes < 60 ? MINUTE_MS : 5 * MINUTE_MS
  const start = Math.floor((nowMs - minutes * MINUTE_MS) / stepMs) * stepMs
  return new Date(start).toISOString()
}

async function readCounts(
  transaction: Transaction,
  source: Source,
  kind: RatedKind,
  ids: readonly number[],
): Promise<Counts> {
  const listed = transaction`select unnest(${toArray(ids, (id) => id)}::bigint[])`
  const rows = await transaction<{ account: string; requests: string; successes: string }[]>`
    select
      t.account, coalesce(sum(t.requests), 0)::text as requests,
      coalesce(sum(t.successes), 0)::text as successes
    from (${source.counters(kind, listed)}) t
    where t.account = any (array(${listed}))
    group by t.account`
  return new Map(
    rows.map(({ account, requests, successes }) => [
      Number(account),
      [BigInt(requests), BigInt(successes)],
    ]),
  )
}

/** Adds up what acts after a position added to accounts. */
function sumAfter(acts: ActCounts, after: number): Counts {
  const sums: Counts = new Map()
  for (const [position, counts] of acts) {
    if (position <= after) continue
    for (const [id, [requests, successes]] of counts) add(sums, id, requests, successes)
  }
  return sums
}

function subtract(all: Counts, some: Counts, id: number): readonly [bigint, bigint] {
  const [requests, successes] = all.get(id) ?? [0n, 0n]
  const [otherRequests, otherSuccesses] = some.get(id) ?? [0n, 0n]
  return [requests - otherRequests, successes - otherSuccesses]
}

function toMeasured(
  rule: RateRule,
  [requests, successes]: readonly [bigint, bigint],
  start: Kept,
  through: Positions,
): Measured {
  const value = { requests: toCount(requests), success_requests: toCount(successes) }
  return {
    subject: { kind: rule.of, id: String(rule.id) },
    state: stateOfRate(rule, value),
    value,
    ...{ from: start.positions, through },
  }
}

/** Decides on what was counted in a window. Few requests change nothing, and none clears. */
export function stateOfRate(
  { below, min_requests }: Pick<RateRule, 'below' | 'min_requests'>,
  { requests, success_requests }: { requests: number; success_requests: number },
): Measured['state'] {
  if (requests === 0) return 'clear'
  if (requests < min_requests) return 'unsure'
  return success_requests / requests < below ? 'crossed' : 'clear'
}
