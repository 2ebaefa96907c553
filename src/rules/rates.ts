import { ACT_TYPES } from '../events/act.ts'
import { decodeEvent, postingsOf } from '../events/event.ts'
import { covers, type Positions } from '../events/positions.ts'
import type { RuleOf } from '../events/rule.ts'
import { recordedAt } from '../log/read.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { toArray } from '../read-model/projections/array.ts'
import { CURRENT } from '../read-model/projections/index.ts'
import type { AsOfQueries } from '../read-model/queries/as-of.ts'
import { readNow } from '../read-model/queries/live.ts'
import { liveGeneration, type Source } from '../read-model/queries/live-source.ts'
import { type Measured, type MeasuredRule, toCount } from './decide.ts'

type RateRule = RuleOf<'success_rate'>
type RatedKind = RateRule['of']

/** Requests and successes by account. */
type Counts = Map<number, readonly [requests: bigint, successes: bigint]>

/** Counts as of positions, kept while windows begin there. */
type Kept = { positions: Positions; counts: Counts }

const MINUTE_MS = 60_000

/**
 * Measures success rates: what the counters grew by in the window, less what acts added. Windows
 * begin at whole minutes, so that a read of the past serves many evaluations.
 */
export class Rates {
  #starts = new Map<string, Kept>()
  #acts = new Map<string, Counts>()

  constructor(private readonly options: { sql: Sql; history: AsOfQueries }) {}

  /**
   * Measures rules at a time (milliseconds since 1970). Throws TemporarilyUnavailable while the
   * projections are behind.
   */
  async measure(rules: readonly RateRule[], nowMs: number): Promise<MeasuredRule[]> {
    const starts = new Map<string, Kept>()
    const acts = new Map<string, Counts>()
    const measured: MeasuredRule[] = []
    for (const kind of ['provider_group', 'api_key'] as const) {
      const some = rules.filter(({ of }) => of === kind)
      if (some.length === 0) continue
      const ids = [...new Set(some.map(({ id }) => id))].sort((a, b) => a - b)
      const now = await this.#readNow(kind, ids)
      for (const minutes of new Set(some.map((rule) => rule.minutes))) {
        const since = startOfWindow(nowMs, minutes)
        const start = await this.#readStart(starts, kind, ids, since)
        if (!covers(now.positions, start.positions)) {
          throw new TemporarilyUnavailable('projections behind')
        }
        const posted = await this.#readActs(acts, kind, ids, start.positions, now.positions)
        for (const rule of some.filter((one) => one.minutes === minutes)) {
          const grown = subtract(now.value, start.counts, rule.id)
          const counts = subtract(new Map([[rule.id, grown]]), posted, rule.id)
          measured.push({ rule, measured: [toMeasured(rule, counts, start, now.positions)] })
        }
      }
    }
    this.#starts = starts
    this.#acts = acts
    return measured
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

  /** Adds up what acts in a window added to accounts. */
  async #readActs(
    acts: Map<string, Counts>,
    kind: RatedKind,
    ids: readonly number[],
    from: Positions,
    through: Positions,
  ): Promise<Counts> {
    const { sql } = this.options
    const rows = await sql<{ position: string }[]>`
      select t.position
      from acts t
      where t.generation = ${liveGeneration(sql, 'bookkeeping')}
        and t.position > ${from[0]!} and t.position <= ${through[0]!}`
    const sums: Counts = new Map()
    for (const { position } of rows) {
      const key = `${kind} ${position} ${ids.join()}`
      // An act may be large: it is read once for all evaluations whose windows have it.
      const counts = this.#acts.get(key) ?? (await readAct(sql, position, kind, new Set(ids)))
      acts.set(key, counts)
      for (const [id, [requests, successes]] of counts) add(sums, id, requests, successes)
    }
    return sums
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

async function readAct(
  sql: Sql,
  position: string,
  kind: RatedKind,
  ids: ReadonlySet<number>,
): Promise<Counts> {
  const [row] = await sql<
    { type: string; version: number; recorded_at: string; payload: string }[]
  >`
    select e.type, e.version, ${recordedAt(sql)}, e.payload::text as payload
    from events e
    where e.shard = 0 and e.position = ${position} and e.type in ${sql(ACT_TYPES)}`
  const counts: Counts = new Map()
  const event = decodeEvent(row!.type, row!.version, row!.payload)
  for (const postings of postingsOf(event, row!.recorded_at)) {
    if (postings.kind !== kind) continue
    const accounts = postings.accounts
    const [requests, successes] = postings.sums
    for (let i = postings.start; i < postings.end; i++) {
      const account = Number(typeof accounts === 'number' ? accounts : accounts[i])
      if (ids.has(account)) add(counts, account, BigInt(requests![i]!), BigInt(successes![i]!))
    }
  }
  return counts
}

function add(counts: Counts, id: number, requests: bigint, successes: bigint): void {
  const [otherRequests, otherSuccesses] = counts.get(id) ?? [0n, 0n]
  counts.set(id, [otherRequests + requests, otherSuccesses + successes])
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
