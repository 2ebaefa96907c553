import { ATTESTED_TABLES, type AttestedColumns, type AttestedTable } from '../events/digest.ts'
import type { Attestation } from '../events/statement.ts'
import type { Report } from './finding.ts'
import { quarterOf, type ShardFold } from './fold.ts'

/** What an attestation says of one position: a digest, or the totals. */
type TableClaim = Attestation['tables'][number] & { kind: 'table'; at: string }
type Claim = TableClaim | ({ kind: 'totals'; at: string } & Attestation['totals'])

/** The attestations of a shard, held against the fold when it is where each of them is about. */
export class Claims {
  readonly #byPosition = new Map<number, Claim[]>()
  readonly #known = new Set<number>()
  /** Where usage that can still be asked for begins, by the position that asks. */
  readonly #usageFrom: { position: number; from: string }[] = []
  /** The quarter that the last attestation of a table of usage had come to. */
  readonly #usageReached = new Map<string, string>()
  /** Digests and totals that were compared, and those whose position had gone by. */
  compared = 0
  missed = 0

  constructor(
    private readonly shard: number,
    private readonly report: Report,
  ) {}

  /** Takes in the attestation that stands at a position. Before the fold is where it is about. */
  add(position: number, { tables, totals }: Attestation, fold: ShardFold): void {
    if (this.#known.has(position)) return
    this.#known.add(position)
    const at = `${this.shard}/${position}`
    for (const table of tables) this.#claim(table.position, { kind: 'table', at, ...table }, fold)
    this.#claim(totals.position, { kind: 'totals', at, ...totals }, fold)
    const from = tables.find((table) => table.from !== undefined)?.from
    if (from !== undefined) this.#usageFrom.push({ position, from })
    this.#checkComplete(at, tables)
  }

  has(position: number): boolean {
    return this.#known.has(position)
  }

  /** The fold has come to its position: what is claimed of it is compared. */
  compare(fold: ShardFold): void {
    const claims = this.#byPosition.get(fold.position)
    if (!claims) return
    this.#byPosition.delete(fold.position)
    for (const claim of claims) this.#compare(claim, fold)
  }

  /** Usage that no claim will ask for any more, as attestations only go forward. */
  forgetUsage(fold: ShardFold): void {
    while (this.#usageFrom.length > 1 && this.#usageFrom[0]!.position < fold.position) {
      this.#usageFrom.shift()
      fold.forgetUsageBefore(this.#usageFrom[0]!.from)
    }
  }

  #claim(position: number, claim: Claim, fold: ShardFold): void {
    if (position < fold.position) {
      this.missed++
      return
    }
    if (position === fold.position) {
      this.#compare(claim, fold)
      return
    }
    const claims = this.#byPosition.get(position) ?? []
    this.#byPosition.set(position, claims)
    claims.push(claim)
  }

  #compare(claim: Claim, fold: ShardFold): void {
    this.compared++
    if (claim.kind === 'totals') {
      const { requests, successes } = fold.totals()
      const expected = `${requests} requests, ${successes} successes`
      const found = `${claim.requests} requests, ${claim.successes} successes`
      if (expected !== found)
        this.#find(claim.at, `totals: the log has ${expected}, it says ${found}`)
      return
    }
    const { table, from, rows, sha256 } = claim
    const known = ATTESTED_TABLES[table as AttestedTable] as AttestedColumns | undefined
    if (!known) {
      this.#find(claim.at, `there is no table ${table}: a newer verifier may know it`)
      return
    }
    if (known.of === 'usage') this.#checkFrom(claim, fold)
    const own = fold.digest(table as AttestedTable, from)
    if (own.sha256 === sha256 && own.rows === rows) return
    this.#find(
      claim.at,
      `${table} as of ${this.shard}/${fold.position}: the log comes to ${own.rows} rows with ` +
        `digest ${own.sha256.slice(0, 16)}…, it says ${rows} rows with ${sha256.slice(0, 16)}…`,
    )
  }

  /** It has to go back to where the one before it ended, or nobody vouches for what is between. */
  #checkFrom({ at, table, from }: TableClaim, fold: ShardFold): void {
    const least = this.#usageReached.get(table)
    if (from !== undefined && (least === undefined || from > least)) {
      this.#find(at, `${table} begins at ${from} only, not ${least ?? 'with the log'}`)
    }
    if (fold.position >= 0) this.#usageReached.set(table, quarterOf(fold.recordedAt))
  }

  #checkComplete(at: string, tables: Attestation['tables']): void {
    for (const [name, { of }] of Object.entries(ATTESTED_TABLES)) {
      if (of === 'catalog' && this.shard !== 0) continue
      if (!tables.some(({ table }) => table === name)) this.#find(at, `it leaves out ${name}`)
    }
  }

  #find(at: string, message: string): void {
    this.report({ kind: 'attestation', at, message })
  }
}
