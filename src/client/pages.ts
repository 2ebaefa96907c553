import { formatPositions } from '../events/positions.ts'
import type { Report } from './finding.ts'
import type { ShardFold } from './fold.ts'
import { LISTED, LISTS, type ListName, PageCheck, type PageName } from './page-check.ts'
import type { PageSource, ServedPage } from './source.ts'

type Key = number | string

/** Rows that a list should have had, from the first of its pages to the last. */
type Missing = {
  list: ListName
  first: number
  last: number
  served: ReadonlySet<Key>
  /** Null before the fold is at the first. */
  keys: Set<Key> | null
}

/** The live pages, read before the log is gone through, and compared with what it comes to. */
export class Pages {
  readonly #checks: PageCheck[] = []
  /** Pages by shard and by the position of it that they reflect. */
  readonly #byPosition: Map<number, PageCheck[]>[]
  readonly #missing: Missing[] = []

  private constructor(
    /** The last position of each shard that was signed before any page was asked for. */
    private readonly signed: readonly number[],
    private readonly report: Report,
  ) {
    this.#byPosition = signed.map(() => new Map())
  }

  static async read(source: PageSource, signed: readonly number[], report: Report): Promise<Pages> {
    const pages = new Pages(signed, report)
    pages.#add('summary', await source.readSummary())
    for (const list of LISTS) {
      let [first, last] = [Infinity, -1]
      const served = new Set<Key>()
      for await (const page of source.readList(list)) {
        const check = pages.#add(list, page)
        if (check === null) continue
        first = Math.min(first, page.positions[0]!)
        last = Math.max(last, page.positions[0]!)
        for (const key of check.keys) {
          // In the order of what names them no row comes twice, whatever is appended meanwhile.
          if (served.has(key)) pages.#repeat(list, key)
          served.add(key)
        }
      }
      pages.#missing.push({ list, first, last, served, keys: null })
    }
    return pages
  }

  /** How large a shard's tree has to be before its pages can be compared. */
  sizeOf(shard: number): number {
    return Math.max(0, ...this.#checks.map(({ page }) => (page.positions[shard] ?? -1) + 1))
  }

  /** Takes from the fold what pages need of the position that it has come to, from -1 on. */
  collect(shard: number, fold: ShardFold): void {
    const checks = this.#byPosition[shard]!.get(fold.position) ?? []
    for (const check of checks) check.collect(shard, fold)
    if (shard !== 0) return
    for (const missing of this.#missing) this.#collectMissing(missing, fold)
  }

  /** Compares all rows, when every shard was gone through; gives how many there were. */
  compare(): number {
    for (const { list, keys } of this.#missing) {
      for (const key of keys ?? []) {
        this.report({ kind: 'total', at: `${list} ${key}`, message: 'the list leaves it out' })
      }
    }
    return this.#checks.reduce((rows, check) => rows + check.compare(this.report), 0)
  }

  /**
   * A list is read page by page while the log goes on: only a row that was there all the time has
   * to be on one of them, in whatever order the service sorts.
   */
  #collectMissing(missing: Missing, { position, catalog }: ShardFold): void {
    const { list, first, last, served } = missing
    if (position < first || position > last) return
    const rows = catalog[LISTED[list].table]
    missing.keys ??= new Set([...rows.keys()].filter((key) => !served.has(key)))
    for (const key of missing.keys) if (rows.get(key)?.at(-1) !== null) missing.keys.delete(key)
  }

  #repeat(list: ListName, key: Key): void {
    this.report({ kind: 'total', at: `${list} ${key}`, message: 'the list has it more than once' })
  }

  /** Null where it is no page of this log. */
  #add(name: PageName, page: ServedPage): PageCheck | null {
    const { positions } = page
    const find = (message: string) => this.report({ kind: 'total', at: name, message })
    if (positions.length !== this.signed.length) {
      find(`its Tallybook-Position is not of ${this.signed.length} shards`)
      return null
    }
    if (positions.some((position, shard) => position < this.signed[shard]!)) {
      find(
        `it is of ${formatPositions(positions)}, ` +
          `and ${formatPositions(this.signed)} was signed before it was asked for`,
      )
    }
    const check = new PageCheck(name, page)
    this.#checks.push(check)
    for (const [shard, position] of positions.entries()) {
      const checks = this.#byPosition[shard]!
      checks.set(position, [...(checks.get(position) ?? []), check])
    }
    return check
  }
}
