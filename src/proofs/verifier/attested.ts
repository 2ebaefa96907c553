import { ATTESTED_TABLES, type AttestedColumns, type AttestedTable } from '../../events/digest.ts'
import type { Attestation } from '../../events/statement.ts'
import type { Attested } from '../../events/types/statements.ts'
import type { OnFinding } from './finding.ts'
import type { ShardFold } from './fold.ts'
import { quarterHourOf } from './usage-time.ts'

/** A statement of an attestation as of one position: a digest, or the totals. */
type TableClaim = Attestation['tables'][number] & {
  kind: 'table'
  at: string
  lastAccess: Attested['lastAccess']
}
type Claim = TableClaim | ({ kind: 'totals'; at: string } & Attestation['totals'])

/** Maximum tables of an attestation. A newer service may have more than this verifier knows. */
const MAX_TABLES = 64

/** Compares the attestations of a shard with the fold, when it reaches the position of each. */
export class AttestationChecks {
  readonly #byPosition = new Map<number, Claim[]>()
  /** Start of the usage that can still be compared, by the position of the attestation. */
  readonly #usageFrom: { position: number; from: string; after: number }[] = []
  /** The last 15-minute bucket that the attestations of a usage table have reached. */
  readonly #usageReached = new Map<string, string>()
  /** The position that the attestations of a backdated table have reached. */
  readonly #backdatedReached = new Map<string, number>()
  /**
   * The position at which this run of the walk began. Claims of earlier positions can't be
   * compared.
   */
  #startPosition = -1
  /** The number of digests and totals compared, and of those whose position had passed. */
  compared = 0
  missed = 0

  constructor(
    private readonly shard: number,
    private readonly report: OnFinding,
  ) {}

  /** Begins a run of the walk. */
  begin({ position }: ShardFold): void {
    this.#startPosition = position
  }

  /** Adds the attestation at a position, before the fold reaches what it states. */
  add(position: number, { attestation, lastAccess, version }: Attested, fold: ShardFold): void {
    const { tables, totals } = attestation
    const at = `${this.shard}/${position}`
    if (tables.length > MAX_TABLES) {
      this.#find(at, `it has ${tables.length} tables, more than ${MAX_TABLES}`)
      return
    }
    for (const table of tables) {
      this.#claim(position, { kind: 'table', at, lastAccess, ...table }, fold)
    }
    this.#claim(position, { kind: 'totals', at, ...totals }, fold)
    const from = tables.find((table) => table.from !== undefined)?.from
    const after = tables.find((table) => table.after !== undefined)?.after ?? -1
    if (from !== undefined) this.#usageFrom.push({ position, from, after })
    this.#checkComplete(at, tables, version)
  }

  /** Compares what attestations state as of the fold's position. */
  compare(fold: ShardFold): void {
    const claims = this.#byPosition.get(fold.position)
    if (!claims) return
    this.#byPosition.delete(fold.position)
    for (const claim of claims) this.#compare(claim, fold)
  }

  /** Drops the usage that no claim can need any more, as attestations only move forward. */
  forgetUsage(fold: ShardFold): void {
    while (this.#usageFrom.length > 1 && this.#usageFrom[0]!.position < fold.position) {
      this.#usageFrom.shift()
      fold.forgetUsageBefore(this.#usageFrom[0]!.from)
      fold.forgetBackdatedThrough(this.#usageFrom[0]!.after)
    }
  }

  #claim(own: number, claim: Claim, fold: ShardFold): void {
    const { position, at } = claim
    if (position >= own) {
      this.#find(
        at,
        `${nameOf(claim)}: it is as of ${this.shard}/${position}, which was not yet appended`,
      )
    } else if (position === fold.position) {
      this.#compare(claim, fold)
    } else if (position > fold.position) {
      const claims = this.#byPosition.get(position) ?? []
      this.#byPosition.set(position, claims)
      claims.push(claim)
    } else if (position < this.#startPosition) {
      this.missed++
    } else {
      const message = `it is as of ${this.shard}/${position}, long before preceding attestations`
      this.#find(at, `${nameOf(claim)}: ${message}`)
    }
  }

  #compare(claim: Claim, fold: ShardFold): void {
    this.compared++
    if (claim.kind === 'totals') {
      const { requests, successes } = fold.totals()
      const expected = `${requests} requests, ${successes} successes`
      const found = `${claim.requests} requests, ${claim.successes} successes`
      if (expected !== found)
        this.#find(claim.at, `totals: the log has ${expected}, but it states ${found}`)
      return
    }
    const { table, from, after, rows, sha256, lastAccess } = claim
    const known = ATTESTED_TABLES[table as AttestedTable] as AttestedColumns | undefined
    if (!known) {
      this.#find(claim.at, `unknown table ${table}: a newer verifier may know it`)
      return
    }
    if (/^(?:usage|parts)$/.test(known.kind)) this.#checkFrom(claim, fold)
    if (/^backdated/.test(known.kind)) this.#checkAfter(claim, fold)
    const own = fold.digest(table as AttestedTable, { from, after, lastAccess })
    if (own.sha256 === sha256 && own.rows === rows) return
    this.#find(
      claim.at,
      `${table} as of ${this.shard}/${fold.position}: the log has ${own.rows} rows with digest ` +
        `${own.sha256.slice(0, 16)}…, but it states ${rows} rows with ${sha256.slice(0, 16)}…`,
    )
  }

  /**
   * Checks that usage starts no later than where the previous attestation ended. Otherwise nothing
   * attests the usage in between.
   */
  #checkFrom({ at, table, from }: TableClaim, fold: ShardFold): void {
    const reached = this.#usageReached.get(table)
    if (from !== undefined && (reached === undefined || from > reached)) {
      this.#find(at, `${table} starts at ${from}, after ${reached ?? 'the start of the log'}`)
    }
    if (fold.position >= 0) this.#usageReached.set(table, quarterHourOf(fold.recordedAt))
  }

  /** The same for backdated usage: nothing recorded since the previous one may be left out. */
  #checkAfter({ at, table, after = -1 }: TableClaim, fold: ShardFold): void {
    const reached = this.#backdatedReached.get(table) ?? -1
    if (after > reached) {
      this.#find(at, `${table} starts after position ${after}, but none before covers it`)
    }
    this.#backdatedReached.set(table, fold.position)
  }

  #checkComplete(at: string, tables: Attestation['tables'], version: number): void {
    for (const [name, table] of Object.entries<AttestedColumns>(ATTESTED_TABLES)) {
      const { kind, since = 1 } = table
      if (version < since || (kind === 'catalog' && this.shard !== 0)) continue
      if (!tables.some(({ table }) => table === name)) this.#find(at, `it omits table ${name}`)
    }
  }

  #find(at: string, message: string): void {
    this.report({ kind: 'attestation', at, message })
  }
}

const nameOf = (claim: Claim) => (claim.kind === 'table' ? claim.table : 'totals')
