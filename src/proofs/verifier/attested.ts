import { ATTESTED_TABLES, type AttestedColumns, type AttestedTable } from '../../events/digest.ts'
import type { Attestation } from '../../events/statement.ts'
import type { Attested } from '../../events/types/statements.ts'
import type { OnFinding } from './finding.ts'
import { quarterHourOf, type ShardFold } from './fold.ts'

/** What an attestation says of one position: a digest, or the totals. */
type TableClaim = Attestation['tables'][number] & {
  kind: 'table'
  at: string
  lastAccess: Attested['lastAccess']
}
type Claim = TableClaim | ({ kind: 'totals'; at: string } & Attestation['totals'])

/** Tables that one attestation has at most; a newer service may know more than this verifier. */
const MAX_TABLES = 64

/** The attestations of a shard, held against the fold when it is where each of them is about. */
export class AttestationChecks {
  readonly #byPosition = new Map<number, Claim[]>()
  /** Where usage that can still be asked for begins, by the position that asks. */
  readonly #usageFrom: { position: number; from: string }[] = []
  /** The quarter that the last attestation of a table of usage had come to. */
  readonly #usageReached = new Map<string, string>()
  /** Where this stretch of the walk began: what is about earlier positions can't be compared. */
  #begun = -1
  /** Digests and totals that were compared, and those whose position had gone by. */
  compared = 0
  missed = 0

  constructor(
    private readonly shard: number,
    private readonly report: OnFinding,
  ) {}

  begin({ position }: ShardFold): void {
    this.#begun = position
  }

  /** Takes in the attestation that stands at a position, before the fold is where it is about. */
  add(position: number, { attestation, lastAccess }: Attested, fold: ShardFold): void {
    const { tables, totals } = attestation
    const at = `${this.shard}/${position}`
    if (tables.length > MAX_TABLES) {
      this.#find(at, `it has ${tables.length} tables`)
      return
    }
    for (const table of tables) {
      this.#claim(position, { kind: 'table', at, lastAccess, ...table }, fold)
    }
    this.#claim(position, { kind: 'totals', at, ...totals }, fold)
    const from = tables.find((table) => table.from !== undefined)?.from
    if (from !== undefined) this.#usageFrom.push({ position, from })
    this.#checkComplete(at, tables)
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

  #claim(own: number, claim: Claim, fold: ShardFold): void {
    const { position, at } = claim
    if (position >= own) {
      this.#find(
        at,
        `${nameOf(claim)}: it is about ${this.shard}/${position}, not yet written then`,
      )
    } else if (position === fold.position) {
      this.#compare(claim, fold)
    } else if (position > fold.position) {
      const claims = this.#byPosition.get(position) ?? []
      this.#byPosition.set(position, claims)
      claims.push(claim)
    } else if (position < this.#begun) {
      this.missed++
    } else {
      const message = `it is about ${this.shard}/${position}, far behind the ones before it`
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
        this.#find(claim.at, `totals: the log has ${expected}, it says ${found}`)
      return
    }
    const { table, from, rows, sha256, lastAccess } = claim
    const known = ATTESTED_TABLES[table as AttestedTable] as AttestedColumns | undefined
    if (!known) {
      this.#find(claim.at, `there is no table ${table}: a newer verifier may know it`)
      return
    }
    if (known.kind === 'usage') this.#checkFrom(claim, fold)
    const own = fold.digest(table as AttestedTable, { from, lastAccess })
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
    if (fold.position >= 0) this.#usageReached.set(table, quarterHourOf(fold.recordedAt))
  }

  #checkComplete(at: string, tables: Attestation['tables']): void {
    for (const [name, { kind }] of Object.entries(ATTESTED_TABLES)) {
      if (kind === 'catalog' && this.shard !== 0) continue
      if (!tables.some(({ table }) => table === name)) this.#find(at, `it leaves out ${name}`)
    }
  }

  #find(at: string, message: string): void {
    this.report({ kind: 'attestation', at, message })
  }
}

const nameOf = (claim: Claim) => (claim.kind === 'table' ? claim.table : 'totals')
