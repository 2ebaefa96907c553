import { isAct } from '../events/act.ts'
import { sameAmounts } from '../events/amounts.ts'
import { PayloadError } from '../events/columns.ts'
import { decodeEvent, type Event } from '../events/event.ts'
import type { Opening } from '../events/types/balances-opened.ts'
import { REVERSIBLE, type Reversal } from '../events/types/event-reversed.ts'
import type { Adjustment } from '../events/types/totals-adjusted.ts'
import { readEvent } from '../log/read.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import { inSnapshot, type Pools, type Transaction } from '../platform/postgres/pool.ts'
import type { Projector } from '../read-model/projector/projector.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'
import type { ReadLarge } from '../read-model/queries/read-large.ts'
import { PostedAmounts } from './amounts-of.ts'
import { type ActEvent, appendAct } from './append-act.ts'
import { type AccountName, findBroken, findOpen, findUnknown } from './checks.ts'

/** What an administrator asks for. */
export type PostedAct =
  | { kind: 'open'; opening: Opening }
  | { kind: 'adjust'; adjustment: Adjustment }
  | { kind: 'reverse'; shard: number; position: number; reason: string }

/** Why an act is refused. Nothing was appended. */
export type ActRefusal =
  | { kind: 'unknown accounts' | 'already open' | 'total out of range'; accounts: AccountName[] }
  | { kind: 'no such event' | 'counts nothing' | 'idempotency key reused' }
  | { kind: 'already reversed'; position: number }

/** An act in the log, at a position of shard 0; `replayed` if an earlier attempt appended it. */
export type RecordedAct = { kind: 'recorded'; position: number; replayed: boolean }

type BooksOptions = {
  pools: Pools
  shards: number
  projector: Projector
  /** Reads a large event in parts, off this thread. */
  readLarge: ReadLarge
}

/** Attempts at an act that others overtake, and how long (ms) each waits for the projections. */
const TRIES = 100
const CATCH_UP_MS = 10_000

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
    const { append } = this.options.pools
    for (let tries = 0; tries < TRIES; tries++) {
      const first = idempotencyKey && (await this.#readFirst(posted, source, idempotencyKey))
      if (first) return first
      const decided = await this.#decide(posted)
      if ('kind' in decided) return decided
      const { before, event } = decided
      const appended = await appendAct(append, before, event, source, idempotencyKey)
      // A replay by another instance is compared with what it posted.
      if (appended !== null && !appended.replayed) return { kind: 'recorded', ...appended }
    }
    throw new TemporarilyUnavailable('books busy')
  }

  /** Returns the outcome of an earlier attempt, or null if there was none. */
  async #readFirst(
    posted: PostedAct,
    source: string,
    idempotencyKey: string,
  ): Promise<RecordedAct | ActRefusal | null> {
    const [row] = await this.options.pools.read<
      { position: string; type: string; version: number; payload: string }[]
    >`
      select e.position, e.type, e.version, e.payload::text as payload
      from events e
      where e.shard = 0 and e.source = ${source} and e.idempotency_key = ${idempotencyKey}`
    if (!row) return null
    const event = decodeEvent(row.type, row.version, row.payload)
    if (!isSame(event, posted)) return { kind: 'idempotency key reused' }
    return { kind: 'recorded', position: Number(row.position), replayed: true }
  }

  /** Decides on an act by the newest state. `before` is the newest act in it. */
  async #decide(posted: PostedAct): Promise<{ before: number; event: ActEvent } | ActRefusal> {
    const { pools, projector } = this.options
    const reversed = posted.kind === 'reverse' ? await this.#toReversal(posted) : null
    if (reversed !== null && 'kind' in reversed) return reversed
    // Then, so that totals include the event that is to be reversed.
    if (!(await projector.catchUp(CATCH_UP_MS, 'current'))) {
      throw new TemporarilyUnavailable('projections behind')
    }
    return inSnapshot(pools.read, async (transaction) => {
      const refuse = await this.#findRefusal(transaction, posted, reversed)
      if (refuse !== null) return refuse
      return { before: await readNewestAct(transaction), event: toEvent(posted, reversed) }
    })
  }

  async #findRefusal(
    transaction: Transaction,
    posted: PostedAct,
    reversal: Reversal | null,
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
        return refuse('total out of range', await findBroken(transaction, reversal!, -1))
      }
    }
  }

  /** Returns what takes an event back, or why nothing can. */
  async #toReversal({
    shard,
    position,
    reason,
  }: Extract<PostedAct, { kind: 'reverse' }>): Promise<Reversal | ActRefusal> {
    const { pools, shards, readLarge } = this.options
    const stored = shard < shards ? await readEvent(pools.read, shard, position) : null
    if (stored === null) return { kind: 'no such event' }
    const type = REVERSIBLE.find((name) => name === stored.type)
    if (type === undefined) return { kind: 'counts nothing' }
    const { recordedAt, payloadSha256 } = stored
    const posted = new PostedAmounts()
    let at = recordedAt
    try {
      const parts = readLarge({ shard, position, recordedAt, payloadSha256 })
      for await (const { postings, act } of parts) {
        posted.add(postings)
        if (act?.type === 'BalancesOpened') at = act.asOf
      }
    } catch (error) {
      if (!(error instanceof PayloadError)) throw error
      // The projections have parked it.
      return { kind: 'counts nothing' }
    }
    const amounts = posted.toAmounts()
    // Balances of zero are open, too.
    if (!isAct(type) && Object.keys(amounts).length === 0) return { kind: 'counts nothing' }
    return { reversed: `${shard}/${position}`, type, at, reason, ...amounts }
  }
}

function toEvent(posted: PostedAct, reversal: Reversal | null): ActEvent {
  switch (posted.kind) {
    case 'open':
      return { type: 'BalancesOpened', payload: posted.opening }
    case 'adjust':
      return { type: 'TotalsAdjusted', payload: posted.adjustment }
    case 'reverse':
      return { type: 'EventReversed', payload: reversal! }
  }
}

/** True if an event says what was posted. */
function isSame(event: Event, posted: PostedAct): boolean {
  switch (posted.kind) {
    case 'open': {
      if (event.type !== 'BalancesOpened') return false
      const { as_of, origin } = posted.opening
      const { system, note } = event.data.origin
      return (
        event.data.as_of === as_of &&
        system === origin.system &&
        note === origin.note &&
        sameAmounts(event.data, posted.opening)
      )
    }
    case 'adjust':
      return (
        event.type === 'TotalsAdjusted' &&
        event.data.reason === posted.adjustment.reason &&
        sameAmounts(event.data, posted.adjustment)
      )
    case 'reverse':
      return (
        event.type === 'EventReversed' &&
        event.data.reason === posted.reason &&
        event.data.reversed === `${posted.shard}/${posted.position}`
      )
  }
}

/** Returns the position of the newest act that the projections reflect; -1 if there is none. */
async function readNewestAct(transaction: Transaction): Promise<number> {
  const [row] = await transaction<{ position: string }[]>`
    select coalesce(max(t.position), -1) as position
    from acts t
    where t.generation = ${liveGeneration(transaction, 'bookkeeping')}`
  return Number(row!.position)
}

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
