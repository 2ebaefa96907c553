import type { CatalogTable } from './change-catalog.ts'
import type { CountedPart } from './details.ts'
import { DividedCheck } from './divided-check.ts'
import type { OnFinding } from './finding.ts'
import type { ShardFold } from './fold.ts'
import { checkReflected } from './reflected.ts'
import { drawSample as draw, isKey } from './sample.ts'
import type { DividedRequest, PageSource, UsageRequest } from './sources/source.ts'
import { placeOf } from './usage-check.ts'
import { newestOf, type UsageRange } from './usage-range.ts'

type Key = number | string
type Kind = UsageRequest['kind']

/** Rows of each catalog table that are compared by a random dimension; a few rows by each. */
const MAX_ROWS = 50

/** Dimensions by which all usage is compared. */
const MAX_DIMENSIONS = 16

/** Days or months that a page divides: it has at most 22 items for each, and 10,000 in all. */
const MAX_BUCKETS = 400

/** Maximum number of concurrent page requests. */
const MAX_CONCURRENT = 4

const KINDS = { api_key: 'api_keys', provider_group: 'provider_groups', key: 'keys' } as const

export type DividedOptions = {
  source: PageSource
  /** Whole days or months. Of a longer range only the newest are compared one by one. */
  days: UsageRange
  dimensions: Iterable<Key>
  /** The keys of all listed rows. */
  rows: Record<CatalogTable, Iterable<Key>>
  signed: readonly number[]
  report: OnFinding
  onPage: () => void
}

/**
 * Pages of usage by dimension, read before the walk and compared with the log after it: of all
 * provider groups together by every dimension, and of a few random rows by a random one. So an
 * audit costs a bounded number of requests.
 */
export class DividedPages {
  readonly #checks: DividedCheck[] = []
  readonly #byKey = new Map<string, DividedCheck[]>()
  readonly #combinations = new Map<string, Record<string, string>>()

  private constructor(private readonly options: DividedOptions) {}

  /** Reads the chosen pages. */
  static async read(options: DividedOptions): Promise<DividedPages> {
    const pages = new DividedPages(options)
    const requests = pages.#choose()
    const readOn = async () => {
      for (const request of requests) await pages.#read(request)
    }
    // If one request fails, `for` ends the generator for all of them.
    await Promise.all(Array.from({ length: MAX_CONCURRENT }, readOn))
    return pages
  }

  /** Returns how large a shard's tree must be before these pages can be compared. */
  sizeOf(shard: number): number {
    return this.#checks.reduce((size, { positions }) => Math.max(size, positions[shard]! + 1), 0)
  }

  /** Adds what an event counts for a row. */
  add(
    shard: number,
    { table, key, position, ms }: { table: CatalogTable; key: Key; position: number; ms: number },
    values: readonly number[],
  ): void {
    for (const check of this.#checksOf(table, key)) check.add(shard, position, ms, values)
  }

  /** Adds what it counts with a combination. */
  addPart(shard: number, part: CountedPart): void {
    const checks = this.#checksOf(KINDS[part.kind], part.key)
    if (checks.length === 0) return
    const ms = Date.parse(part.bucket)
    const values = this.#valuesOf(part.combination)
    for (const check of checks) {
      check.addPart(shard, part.position, ms, values[check.request.by] ?? null, part)
    }
  }

  /** Compares all pages, once every shard has been walked; `fold` is that of shard 0. */
  compare(fold: ShardFold): void {
    const measures: string[] = []
    for (const [name, [number]] of fold.catalog.measures) measures[Number(number)] = String(name)
    const names = Array.from(measures, (name) => name ?? '')
    for (const check of this.#checks) check.compare(names, this.options.report)
  }

  *#choose(): Generator<DividedRequest> {
    const { rows } = this.options
    const names = [...this.options.dimensions].map(String).filter((name) => NAME.test(name))
    const dimensions = draw(names, MAX_DIMENSIONS)
    if (dimensions.length === 0) return
    for (const by of dimensions) yield* this.#choosePages('all', null, by)
    for (const kind of ['provider_groups', 'api_keys', 'keys'] as const) {
      const keys = [...rows[kind]].filter(isKey)
      const each = keys.length * dimensions.length <= MAX_ROWS ? dimensions.length : 1
      for (const key of draw(keys, MAX_ROWS)) {
        for (const by of draw([...dimensions], each)) yield* this.#choosePages(kind, key, by)
      }
    }
  }

  *#choosePages(kind: Kind, key: Key | null, by: string): Generator<DividedRequest> {
    const { days } = this.options
    yield { ...days, kind, key, by, isWhole: true }
    yield { ...newestOf(days, MAX_BUCKETS), kind, key, by, isWhole: false }
  }

  async #read(request: DividedRequest): Promise<void> {
    const { source, signed, report, onPage } = this.options
    onPage()
    let page = await source.readDivided(request, request.kind !== 'all')
    if (page.positions.some((position, shard) => position < signed[shard]!)) {
      page = await source.readDivided(request, false)
    }
    const at = `${placeOf(request, '')} by ${request.by}`
    if (!checkReflected(at, page.positions, signed, report)) return
    const check = new DividedCheck(request, page)
    this.#checks.push(check)
    const key = keyOf(request.kind, request.key)
    this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), check])
  }

  #checksOf(table: CatalogTable, key: Key): readonly DividedCheck[] {
    if (this.#checks.length === 0) return NONE
    const own = this.#byKey.get(keyOf(table, key)) ?? NONE
    if (table !== 'provider_groups') return own
    const all = this.#byKey.get(keyOf('all', null)) ?? NONE
    return own.length === 0 ? all : [...own, ...all]
  }

  #valuesOf(combination: string): Record<string, string> {
    const found = this.#combinations.get(combination)
    if (found !== undefined) return found
    if (this.#combinations.size > MAX_COMBINATIONS) this.#combinations.clear()
    const values = JSON.parse(combination) as Record<string, string>
    this.#combinations.set(combination, values)
    return values
  }
}

/** A name that a dimension can have. A list with any other is reported elsewhere. */
const NAME = /^[a-z][a-z0-9_]{0,63}$/

const NONE: readonly DividedCheck[] = []

/** Parsed combinations that are kept. */
const MAX_COMBINATIONS = 10_000

const keyOf = (kind: Kind, key: Key | null) => `${kind} ${key ?? ''}`
