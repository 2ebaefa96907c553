import type { Counting } from './counting.ts'
import type { OnFinding } from './finding.ts'
import type { ShardFold } from './fold.ts'
import { checkReflected } from './reflected.ts'
import {
  LISTED,
  LISTS,
  type ListName,
  type PageName,
  ServedPageCheck,
} from './served-page-check.ts'
import { readSignedTimes } from './signed-times.ts'
import { type EventSource, NotServed, type PageSource, type ServedPage } from './sources/source.ts'
import { type UsageLimits, UsagePages, type UsageReport } from './usage-pages.ts'
import { toDays } from './usage-range.ts'

type Key = number | string

/** Rows of a list, to find those that are missing from it. */
type Missing = {
  list: ListName
  /** The position that its first page reflects in shard 0, which has the catalog. */
  first: number
  served: ReadonlySet<Key>
  /** The missing keys, or null before the fold has reached `first`. */
  keys: Set<Key> | null
}

/** The source of the pages, and the heads and limits they are compared with. */
export type PagesOptions = {
  source: PageSource
  events: EventSource
  /** The last signed position of each shard before any page was requested. */
  signed: readonly number[]
  limits: UsageLimits
  report: OnFinding
  /** Called before each page of usage. */
  onPage: () => void
}

/** The lists that a service of an older release does not have. */
const OPTIONAL = { dimensions: true, measures: true }

/** Yields no page if they are not served. */
async function* ifServed(pages: AsyncIterable<ServedPage>): AsyncIterable<ServedPage> {
  try {
    yield* pages
  } catch (error) {
    if (!(error instanceof NotServed)) throw error
  }
}

/** The current pages, read before the walk and compared with the log after it. */
export class Pages {
  readonly #checks: ServedPageCheck[] = []
  /** Pages by shard and by the position of it that they reflect. */
  readonly #byPosition: Map<number, ServedPageCheck[]>[]
  readonly #missing: Missing[] = []
  #usage!: UsagePages

  private constructor(private readonly options: PagesOptions) {
    this.#byPosition = options.signed.map(() => new Map())
  }

  /** Reads all pages. */
  static async read(options: PagesOptions): Promise<Pages> {
    const { source, events, signed } = options
    const pages = new Pages(options)
    pages.#add('summary', await source.readSummary())
    for (const list of LISTS) await pages.#readList(list)
    const [provider_groups, api_keys, keys, dimensions] = pages.#missing.map(({ served }) => served)
    pages.#usage = await UsagePages.read({
      ...options,
      dimensions: dimensions!,
      rows: { provider_groups: provider_groups!, api_keys: api_keys!, keys: keys! },
      days: toDays(await readSignedTimes(events, signed), Date.now()),
    })
    return pages
  }

  /** Returns how large a shard's tree must be before its pages can be compared. */
  sizeOf(shard: number): number {
    return this.#checks.reduce(
      (size, { page }) => Math.max(size, page.positions[shard]! + 1),
      this.#usage.sizeOf(shard),
    )
  }

  /** Returns what collects from a shard's fold all that pages of usage need. */
  countingOf(shard: number): Counting {
    return this.#usage.countingOf(shard)
  }

  /** Collects what other pages need at the fold's position, from -1 on. */
  collect(shard: number, fold: ShardFold): void {
    const checks = this.#byPosition[shard]!.get(fold.position) ?? []
    for (const check of checks) check.collect(shard, fold)
    if (shard !== 0) return
    for (const missing of this.#missing) this.#collectMissing(missing, fold)
  }

  /**
   * Compares all rows and usage, once every shard has been walked; `fold` is that of shard 0.
   * Returns how many were compared.
   */
  compare(fold: ShardFold): { rows: number; usage: UsageReport } {
    const { report } = this.options
    for (const { list, keys } of this.#missing) {
      for (const key of keys ?? []) {
        report({ kind: 'total', at: `${list} ${key}`, message: 'missing from the list' })
      }
    }
    const rows = this.#checks.reduce((sum, check) => sum + check.compare(report), 0)
    return { rows, usage: this.#usage.compare(fold) }
  }

  async #readList(list: ListName): Promise<void> {
    let first = Infinity
    const served = new Set<Key>()
    const pages = this.options.source.readList(list)
    for await (const page of list in OPTIONAL ? ifServed(pages) : pages) {
      const check = this.#add(list, page)
      if (check === null) continue
      first = Math.min(first, page.positions[0]!)
      for (const key of check.keys) {
        // Lists are ordered by key, so no row can repeat, whatever is appended in between.
        if (served.has(key)) this.#repeat(list, key)
        served.add(key)
      }
    }
    // Without any page, what the log has by the end of the walk is missing.
    if (first === Infinity && list in OPTIONAL) first = this.options.signed[0]!
    this.#missing.push({ list, first, served, keys: null })
  }

  /**
   * Finds missing rows. A list is read page by page while the log grows, and includes retired rows:
   * a row that existed before the first page must be on one of them, whatever the order.
   */
  #collectMissing(missing: Missing, { position, catalog }: ShardFold): void {
    const { list, first, served } = missing
    if (position < first || missing.keys !== null) return
    const rows = catalog[LISTED[list].table]
    missing.keys = new Set([...rows.keys()].filter((key) => !served.has(key)))
  }

  #repeat(list: ListName, key: Key): void {
    const message = 'listed more than once'
    this.options.report({ kind: 'total', at: `${list} ${key}`, message })
  }

  /** Adds a page. Returns null if it is not a page of this log. */
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
