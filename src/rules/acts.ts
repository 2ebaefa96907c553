import { decodeEvent } from '../events/event.ts'
import type { RuleOf } from '../events/rule.ts'
import { recordedAt } from '../log/read.ts'
import { payloadText } from '../log/visit.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { type Content, contentOf } from '../read-model/projections/entry.ts'
import type { AsOfQueries } from '../read-model/queries/as-of.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'

export type RatedKind = RuleOf<'success_rate'>['of']

/** Requests and successes by account. */
export type Counts = Map<number, readonly [requests: bigint, successes: bigint]>

/** What acts added to accounts, by the positions of the acts. */
export type ActCounts = Map<number, Counts>

type ActRow = {
  type: string
  version: number
  recorded_at: string
  sha256: string
  payload: string | null
}

/**
 * Reads what acts added to accounts. An act may be large, and a day may have thousands: each is
 * read once, and kept for as long as it is asked for.
 */
export class Acts {
  readonly #kept = new Map<RatedKind, { accounts: string; acts: ActCounts }>()

  constructor(private readonly options: { sql: Sql; history: Pick<AsOfQueries, 'readLarge'> }) {}

  /** Reads the acts after a position of shard 0 and through another. */
  async read(
    kind: RatedKind,
    ids: readonly number[],
    { after, through }: { after: number; through: number },
  ): Promise<ActCounts> {
    const { sql } = this.options
    const accounts = ids.join()
    const former = this.#kept.get(kind)
    const kept = former?.accounts === accounts ? former.acts : new Map<number, Counts>()
    this.#kept.set(kind, { accounts, acts: kept })
    // Of these, resets of quotas are the most, and count no requests.
    const rows = await sql<{ position: string }[]>`
      select t.position
      from acts t
      where t.generation = ${liveGeneration(sql, 'bookkeeping')} and t.type <> 'QuotaReset'
        and t.position > ${after} and t.position <= ${through}`
    const positions = new Set(rows.map(({ position }) => Number(position)))
    for (const position of kept.keys()) if (!positions.has(position)) kept.delete(position)
    for (const position of positions) {
      if (!kept.has(position)) kept.set(position, await this.#readAct(position, kind, new Set(ids)))
    }
    return kept
  }

  async #readAct(position: number, kind: RatedKind, ids: ReadonlySet<number>): Promise<Counts> {
    const { sql, history } = this.options
    const { readLarge } = history
    const [row] = await sql<ActRow[]>`
      select
        e.type, e.version, ${recordedAt(sql)}, encode(e.payload_sha256, 'hex') as sha256,
        ${payloadText(sql, readLarge !== null)} as payload
      from events e
      where e.shard = 0 and e.position = ${position}`
    const { type, version, recorded_at: at, sha256: payloadSha256, payload } = row!
    const counts: Counts = new Map()
    if (payload !== null) {
      addContent(counts, contentOf(decodeEvent(type, version, payload), at), kind, ids)
    } else {
      const place = { shard: 0, position, recordedAt: at, payloadSha256 }
      for await (const part of readLarge!(place)) addContent(counts, part, kind, ids)
    }
    return counts
  }
}

function addContent(
  counts: Counts,
  { postings: all }: Content,
  kind: RatedKind,
  ids: ReadonlySet<number>,
): void {
  for (const postings of all) {
    if (postings.kind !== kind) continue
    const { accounts, sums, start, end } = postings
    const [requests, successes] = sums
    for (let i = start; i < end; i++) {
      const account = Number(typeof accounts === 'number' ? accounts : accounts[i])
      if (ids.has(account)) add(counts, account, BigInt(requests![i]!), BigInt(successes![i]!))
    }
  }
}

/** Adds to what an account has. */
export function add(counts: Counts, id: number, requests: bigint, successes: bigint): void {
  const [otherRequests, otherSuccesses] = counts.get(id) ?? [0n, 0n]
  counts.set(id, [otherRequests + requests, otherSuccesses + successes])
}
