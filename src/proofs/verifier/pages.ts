import type { OnFinding } from './finding.ts'
import type { Counting, ShardFold } from './fold.ts'
import { readMoments } from './moments.ts'
import { checkReflected } from './reflected.ts'
import {
  LISTED,
  LISTS,
  type ListName,
  type PageName,
  ServedPageCheck,
} from './served-page-check.ts'
import type { EventSource, PageSource, ServedPage } from './sources/source.ts'
import { type UsageLimits, UsagePages, type UsageReport } from './usage-pages.ts'
import { toDays } from './usage-range.ts'

type Key = number | string

/** Rows that a list should have had. */
type Missing = {
  list: ListName
  /** Where the first of its pages stands in shard 0, which has the catalog. */
  first: number
  served: ReadonlySet<Key>
  /** Null before the fold is there. */
  keys: Set<Key> | null
}

export type PagesOptions = {
  source: PageSource
  events: EventSource
  /** The last position of each shard that was signed before any page was asked for. */
  signed: readonly number[]
  limits: UsageLimits
  report: OnFinding
  /** Called before each page of usage. */
  onPage: () => void
}

/** The live pages, read before the log is gone through, and compared with what it comes to. */
export class Pages {
  readonly #checks: ServedPageCheck[] = []
  /** Pages by shard and by the position of it that they reflect. */
  readonly #byPosition: Map<number, ServedPageCheck[]>[]
  readonly #missing: Missing[] = []
  #usage!: UsagePages

  private constructor(private readonly options: PagesOptions) {
    this.#byPosition = options.signed.map(() => new Map())
  }

  static async read(options: PagesOptions): Promise<Pages> {
    const { source, events, signed } = options
    const pages = new Pages(options)
    pages.#add('summary', await source.readSummary())
    for (const list of LISTS) await pages.#readList(list)
    const [provider_groups, api_keys, keys] = pages.#missing.map(({ served }) => served)
    pages.#usage = await UsagePages.read({
      ...options,
      rows: { provider_groups: provider_groups!, api_keys: api_keys!, keys: keys! },
      days: toDays(await readMoments(events, signed), Date.now()),
    })
    return pages
  }

  /** How large a shard's tree has to be before its pages can be compared. */
  sizeOf(shard: number): number {
    return this.#checks.reduce(
      (size, { page }) => Math.max(size, page.positions[shard]! + 1),
      this.#usage.sizeOf(shard),
    )
  }

  /** What takes from a shard's fold all that pages of usage need. */
  countingOf(shard: number): Counting {
    return this.#usage.countingOf(shard)
  }

  /** Takes from the fold what other pages need of the position that it has come to, from -1 on. */
  collect(shard: number, fold: ShardFold): void {
    const checks = this.#byPosition[shard]!.get(fold.position) ?? []
    for (const check of checks) check.collect(shard, fold)
    if (shard !== 0) return
    for (const missing of this.#missing) this.#collectMissing(missing, fold)
  }

  /** Compares all rows and usage, when every shard was gone through; gives how many there were. */
  compare(): { rows: number; usage: UsageReport } {
    const { report } = this.options
    for (const { list, keys } of this.#missing) {
      for (const key of keys ?? []) {
        report({ kind: 'total', at: `${list} ${key}`, message: 'the list leaves it out' })
      }
    }
    const rows = this.#checks.reduce((sum, check) => sum + check.compare(report), 0)
    return { rows, usage: this.#usage.compare() }
  }

  async #readList(list: ListName): Promise<void> {
    let first = Infinity
    const served = new Set<Key>()
    for await (const page of this.options.source.readList(list)) {
      const check = this.#add(list, page)
      if (check === null) continue
      first = Math.min(first, page.positions[0]!)
      for (const key of check.keys) {
        // In the order of what names them no row comes twice, whatever is appended meanwhile.
        if (served.has(key)) this.#repeat(list, key)
        served.add(key)
      }
    }
    this.#missing.push({ list, first, served, keys: null })
  }

  /**
   * A list is read page by page while the log goes on: a row that was there before the first has to
   * be on one of them, in whatever order the service sorts, as none that ended is left out.
   */
  #collectMissing(missing: Missing, { position, catalog }: ShardFold): void {
    const { list, first, served } = missing
    if (position < first || missing.keys !== null) return
    const rows = catalog[LISTED[list].table]
    missing.keys = new Set([...rows.keys()].filter((key) => !served.has(key)))
  }

  #repeat(list: ListName, key: Key): void {
    const message = 'the list has it more than once'
    this.options.report({ kind: 'total', at: `${list} ${key}`, message })
  }

  /** Null where it is no page of this log. */
  #add(name: PageName, page: ServedPage): ServedPageCheck | null {
    const { signed, report } = this.options
    if (!checkReflected(name, page.positions, signed, report)) return null
    const check = new ServedPageCheck(name, page)
    this.#checks.push(check)
    for (const [shard, position] of page.positions.entries()) {
      const checks = this.#byPosition[shard]!
      checks.set(position, [...(checks.get(position) ?? []), check])
    }
    return check
  }
}
