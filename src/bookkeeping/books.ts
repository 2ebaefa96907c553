import { isAct } from '../events/act.ts'
import { PayloadError } from '../events/columns.ts'
import { timeOfUsage } from '../events/instant.ts'
import { parseLocation } from '../events/positions.ts'
import { REVERSIBLE } from '../events/reversible.ts'
import type { Reversal } from '../events/types/event-reversed.ts'
import type { QuotaReset } from '../events/types/quota-reset.ts'
import { findKey } from '../log/find-keys.ts'
import { readFirstAttempt } from '../log/first-attempt.ts'
import { identityOf, readIdentity } from '../log/read.ts'
import { SMALL_BYTES } from '../log/visit.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Pools, Sql, Transaction } from '../platform/postgres/pool.ts'
import type { AsOfQueries } from '../read-model/queries/as-of.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'
import { type ActEvent, appendAct } from './append-act.ts'
import { type AccountName, findBroken, findOpen, findUnknown } from './checks.ts'
import { type ActProjector, readAtNewestAct } from './newest-act.ts'
import { type ActRefusal, isSame, type PostedAct, type RecordedAct } from './posted-act.ts'
import { type Cut, cutLog, leaveOutReset, makeReset } from './quota-reset.ts'
import { readHeader, sumEvent } from './reversed-event.ts'
import { divideUnknown } from './withdraw.ts'

type BooksOptions = {
  pools: Pools
  shards: number
  projector: ActProjector
  history: AsOfQueries
  /** Records an act on another thread if it takes a large event; null records all of them here. */
  recordLarge: Books['record'] | null
}

/** How long (ms) an act is tried again while others overtake it. */
const RECORD_MS = 30_000

/**
 * A reversal, before its entries for unknown keys are divided, and the identity of the event it
 * reverses in this history of the log.
 */
type Prepared = { reversal: Reversal; recordedAt: string; identity: string }

type Decision = { before: number; event: ActEvent }

/**
 * Records acts in the log. An act is decided on by what the projections say as of the newest act,
 * and appended only if it still is the newest: so no two acts are decided on by the same state.
 * Flushes that arrive meanwhile only raise totals, which breaks no rule that held.
 */
export class Books {
  constructor(private readonly options: BooksOptions) {}

  /**
   * Records an act of `source`. With an idempotency key, a repeated attempt gets the first one's
   * position. Throws TemporarilyUnavailable.
   */
  async record(
    posted: PostedAct,
    source: string,
    idempotencyKey: string | null,
  ): Promise<RecordedAct | ActRefusal> {
    const outcome = await this.#record(posted, source, idempotencyKey)
    if (outcome !== 'large') return outcome
    return this.options.recordLarge!(posted, source, idempotencyKey)
  }

  async #record(
    posted: PostedAct,
    source: string,
    idempotencyKey: string | null,
  ): Promise<RecordedAct | ActRefusal | 'large'> {
    const readFirst = () => this.#readFirst(posted, source, idempotencyKey)
    const end = performance.now() + RECORD_MS
    let prepared: Prepared | null = null
    do {
      const first = await readFirst()
      if (first !== null) return first
      if (posted.kind === 'reverse' && prepared === null) {
        const made = await this.#prepare(posted)
        if (made === 'large' || 'kind' in made) return made
        prepared = made
      }
      const decided = await this.#decide(posted, prepared)
      if (decided === 'another log') prepared = null
      if (typeof decided === 'string') continue
      // Another attempt with this key may have been recorded meanwhile, and be the reason.
      if ('kind' in decided) return (await readFirst()) ?? decided
      const { before, event } = decided
      const { append } = this.options.pools
      const appended = await appendAct(append, before, event, source, idempotencyKey)
      // A replay by another instance is compared with what it posted.
      if (appended !== null && !appended.replayed) return { kind: 'recorded', ...appended }
    } while (performance.now() < end)
    throw new TemporarilyUnavailable('books busy')
  }

  /** Returns the outcome of an earlier attempt, or null if there was none; see `#isLarge`. */
  async #readFirst(
    posted: PostedAct,
    source: string,
    idempotencyKey: string | null,
  ): Promise<RecordedAct | ActRefusal | 'large' | null> {
    if (idempotencyKey === null) return null
    const { read } = this.options.pools
    const bytes = await readAttemptBytes(read, source, idempotencyKey)
    if (bytes === null) return null
    if (this.#isLarge(bytes)) return 'large'
    const first = await readFirstAttempt(read, 0, source, idempotencyKey)
    if (first === null) return null
    if (!isSame(first.event, posted)) return { kind: 'idempotency key reused' }
    return { kind: 'recorded', position: first.position, replayed: true }
  }

  /**
   * Decides on an act by the newest state, of which `before` is the newest act. Returns 'behind' if
   * the state that was read is older than the log, and 'another log' if the database has lost the
   * event that is to be reversed.
   */
  async #decide(
    posted: PostedAct,
    prepared: Prepared | null,
  ): Promise<Decision | ActRefusal | 'behind' | 'another log'> {
    const { pools, history } = this.options
    const cut = posted.kind === 'reset' ? await cutLog(pools.read, history) : null
    const decide = async (transaction: Transaction, before: number) => {
      // A reset takes away what all acts before it have counted.
      if (cut !== null && cut.through[0]! < before) return 'behind'
      if (prepared !== null && !(await isThere(transaction, prepared))) return 'another log'
      const event = await this.#toEvent(transaction, posted, prepared, cut)
      const refusal = await this.#findRefusal(transaction, posted, event)
      return refusal ?? { before, event }
    }
    // After an event to be reversed was read, so that totals include it.
    return readAtNewestAct(this.options, decide, cut?.through)
  }

  async #findRefusal(
    transaction: Transaction,
    posted: PostedAct,
    event: ActEvent,
  ): Promise<ActRefusal | null> {
    const refuse = (
      kind: 'unknown accounts' | 'already open' | 'total out of range',
      accounts: AccountName[],
    ) => (accounts.length > 0 ? { kind, accounts } : null)
    switch (posted.kind) {
      case 'open':
        return (
          refuse('unknown accounts', await findUnknown(transaction, posted.opening)) ??
          refuse('already open', await findOpen(transaction, posted.opening))
        )
      case 'adjust':
        return (
          refuse('unknown accounts', await findUnknown(transaction, posted.adjustment)) ??
          refuse('total out of range', await findBroken(transaction, posted.adjustment, 1))
        )
      case 'reverse': {
        const position = await readReversalOf(transaction, posted)
        if (position !== null) return { kind: 'already reversed', position }
        const reversal = event.payload as Reversal
        if (countsNothing(reversal)) return { kind: 'counts nothing' }
        return refuse('total out of range', await findBroken(transaction, reversal, -1))
      }
      case 'reset': {
        const { keys } = event.payload as QuotaReset
        return refuse('unknown accounts', await findUnknown(transaction, { keys }))
      }
    }
  }

  async #toEvent(
    transaction: Transaction,
    posted: PostedAct,
    prepared: Prepared | null,
    cut: Cut | null,
  ): Promise<ActEvent> {
    switch (posted.kind) {
      case 'open':
        return { type: 'BalancesOpened', payload: posted.opening }
      case 'adjust':
        return { type: 'TotalsAdjusted', payload: posted.adjustment }
      case 'reverse': {
        const { reversal, recordedAt } = prepared!
        const place = { shard: posted.shard, position: posted.position, recordedAt }
        const divided = await divideUnknown(transaction, reversal, place)
        const payload = await leaveOutReset(transaction, divided, recordedAt)
        return { type: 'EventReversed', payload }
      }
      case 'reset': {
        const payload = await makeReset(transaction, this.options.history, cut!, posted)
        return { type: 'QuotaReset', payload }
      }
    }
  }

  /** True if an event of this size has to be read on another thread. */
  #isLarge(payloadBytes: number): boolean {
    return this.options.recordLarge !== null && payloadBytes > SMALL_BYTES
  }

  /** Returns what takes an event back, or why nothing can; see `#isLarge`. */
  async #prepare({
    shard,
    position,
    reason,
  }: Extract<PostedAct, { kind: 'reverse' }>): Promise<Prepared | ActRefusal | 'large'> {
    const { pools, shards } = this.options
    const stored = shard < shards ? await readHeader(pools.read, shard, position) : null
    if (stored === null) return { kind: 'no such event' }
    const type = REVERSIBLE.find((name) => name === stored.type)
    if (type === undefined) return { kind: 'counts nothing' }
    const { recordedAt, payloadSha256, payloadBytes, asOf, countedAt } = stored
    if (this.#isLarge(payloadBytes)) return 'large'
    try {
      const place = { shard, position, recordedAt, payloadSha256 }
      const { amounts, unknown } = await sumEvent(pools.read, place)
      const at = type === 'BalancesOpened' ? asOf! : timeOfUsage(countedAt, recordedAt)
      const reversal = { reversed: `${shard}/${position}`, type, at, reason, ...amounts }
      return {
        reversal: Object.keys(unknown).length === 0 ? reversal : { ...reversal, unknown },
        recordedAt,
        identity: identityOf({ recordedAt, payloadSha256 }),
      }
    } catch (error) {
      if (!(error instanceof PayloadError)) throw error
      // The projections have parked it.
      return { kind: 'counts nothing' }
    }
  }
}

/** Returns the size of an earlier attempt; null if there was none. */
async function readAttemptBytes(
  sql: Sql,
  source: string,
  idempotencyKey: string,
): Promise<number | null> {
  const position = await findKey(sql, 0, source, idempotencyKey)
  if (position === null) return null
  // The key may be that of a flush, which may have left the database.
  const header = await readHeader(sql, 0, position)
  return header?.payloadBytes ?? null
}

/** True if the log still has the event that is to be reversed. */
async function isThere(
  transaction: Transaction,
  { reversal: { reversed }, identity }: Prepared,
): Promise<boolean> {
  const { shard, position } = parseLocation(reversed)
  return (await readIdentity(transaction, shard, position)) === identity
}

/** True for a flush that counts nothing; balances of zero are open all the same. */
const countsNothing = ({ type, provider_groups, api_keys, keys }: Reversal) =>
  !isAct(type) && !provider_groups && !api_keys && !keys

async function readReversalOf(
  transaction: Transaction,
  { shard, position }: { shard: number; position: number },
): Promise<number | null> {
  const [row] = await transaction<{ position: string }[]>`
    select t.position
    from acts t
    where t.generation = ${liveGeneration(transaction, 'bookkeeping')}
      and t.reversed_shard = ${shard} and t.reversed_position = ${position}`
  return row ? Number(row.position) : null
}
