import type { CatalogTable } from './change-catalog.ts'
import type { Counting } from './counting.ts'
import { DividedPages } from './divided-pages.ts'
import type { OnFinding } from './finding.ts'
import type { ShardFold } from './fold.ts'
import { checkReflected } from './reflected.ts'
import { drawSample, isKey } from './sample.ts'
import { type PageSource, UsageByDays, type UsageRequest } from './sources/source.ts'
import { placeOf, UsageCheck } from './usage-check.ts'
import {
  type Bucket,
  countBuckets,
  FIRST_DAY,
  splitRange,
  toMonths,
  type UsageRange,
} from './usage-range.ts'

type Key = number | string

/** How much usage is compared. */
export type UsageLimits = {
  /** Rows of each catalog table. */
  rows: number
  /** Total days of these rows: fewer rows are compared if the log is old. */
  days: number
  /**
   * Total hours of these rows. If there would be more, or the service keeps older usage by days or
   * months, usage is compared by these.
   */
  hours: number
}
/** The limits if none are given. */
export const USAGE_LIMITS: UsageLimits = { rows: 1_000, days: 500_000, hours: 500_000 }
/** Compares the usage of all rows. */
export const ALL_USAGE: UsageLimits = { ...USAGE_LIMITS, rows: Infinity, days: Infinity }

/**
 * Maximum number of concurrent page requests. Requests that wait for the same batch of the
 * projector share its cost.
 */
const MAX_CONCURRENT = 4

/** How many of the existing rows were compared, and by which bucket. */
export type UsageScope = {
  kind: UsageRequest['kind']
  bucket: Bucket
  compared: number
  of: number
}

/** The usage compared by an audit. */
export type UsageReport = {
  /** Hours, days and months compared. */
  buckets: number
  scopes: UsageScope[]
  /** Events that count outside the compared range. */
  outside: number
}

/** The source of usage pages, and which of them to compare. */
export type UsageOptions = {
  source: PageSource
  /** Whole days, or months. */
  days: UsageRange
  /** The keys of all listed rows, including retired ones. */
  rows: Record<CatalogTable, Iterable<Key>>
  /** The names of all listed dimensions. */
  dimensions: Iterable<Key>
  limits: UsageLimits
  signed: readonly number[]
  report: OnFinding
  onPage: () => void
}

/**
 * Pages of usage, read before the walk and compared with the log after it. If there are many rows,
 * random ones are chosen, so that the service can't predict which are compared.
 */
export class UsagePages {
  readonly #checks: UsageCheck[] = []
  readonly #byKey: Record<UsageRequest['kind'], Map<Key | null, UsageCheck[]>> = {
    all: new Map(),
    provider_groups: new Map(),
    api_keys: new Map(),
    keys: new Map(),
  }
  readonly #scopes: UsageScope[] = []
  /** Events recorded before the compared range, and others that count outside of it. */
  #before = 0
  #outside = 0
  #divided!: DividedPages

  private constructor(
    private readonly options: UsageOptions,
    /** The shortest buckets by which the service shows all of the range. */
    private readonly finest: Bucket,
  ) {}

  /** Reads the chosen pages. */
  static async read(options: UsageOptions): Promise<UsagePages> {
    const readIf = async (bucket: Bucket) => {
      try {
        return await UsagePages.#readBy(options, bucket)
      } catch (error) {
        if (error instanceof UsageByDays) return null
        throw error
      }
    }
    return (
      (await readIf('hour')) ??
      (await readIf('day')) ??
      UsagePages.#readBy({ ...options, days: toMonths(options.days) }, 'month')
    )
  }

  static async #readBy(options: UsageOptions, finest: Bucket): Promise<UsagePages> {
    const pages = new UsagePages(options, finest)
    const requests = pages.#choose()
    const readOn = async () => {
      for (const request of requests) await pages.#read(request)
    }
    // If one request fails, `for` ends the generator for all of them.
    await Promise.all(Array.from({ length: MAX_CONCURRENT }, readOn))
    pages.#divided = await DividedPages.read(options)
    return pages
  }

  /** Returns how large a shard's tree must be before these pages can be compared. */
  sizeOf(shard: number): number {
    return this.#checks.reduce(
      (size, { positions }) => Math.max(size, positions[shard]! + 1),
      this.#divided.sizeOf(shard),
    )
  }

  /** Returns what counts the usage of these pages as a shard is folded. */
  countingOf(shard: number): Counting {
    const size = this.sizeOf(shard)
    let [at, ms] = [0, 0]
    const add = (checks: UsageCheck[] | undefined, values: readonly number[]) => {
      for (const check of checks ?? []) check.add(shard, at, ms, values)
    }
    return {
      begin: (position, recordedAt, countedAt) => {
        ;[at, ms] = [position, Date.parse(countedAt)]
        if (position >= size) return
        const { from, to } = this.options.days
        if (Date.parse(recordedAt) < from) this.#before++
        else if (ms < from || ms >= to) this.#outside++
      },
      add: (table, key, values) => {
        if (at >= size) return
        add(this.#byKey[table].get(key), values)
        if (table === 'provider_groups') add(this.#byKey.all.get(null), values)
        this.#divided.add(shard, { table, key, position: at, ms }, values)
      },
      addPart: (part) => this.#divided.addPart(shard, part),
    }
  }

  /** Compares all pages, once every shard has been walked; `fold` is that of shard 0. */
  compare(fold: ShardFold): UsageReport {
    this.#divided.compare(fold)
    const { days, signed, report } = this.options
    const isCut = days.from === FIRST_DAY
    // Without a signed event, no first event was shown.
    if (this.#before > 0 && !isCut && signed.some((position) => position >= 0)) {
      const day = new Date(days.from).toISOString().slice(0, 10)
      const older = `${this.#before} events were recorded before ${day}`
      const message = `${older}: the service had shown another first event`
      report({ kind: 'total', at: 'usage', message })
    }
    const buckets = this.#checks.reduce((sum, check) => sum + check.compare(report), 0)
    return { buckets, scopes: this.#scopes, outside: this.#outside + (isCut ? this.#before : 0) }
  }

  /** Yields the requests: the usage of all provider groups together, and of rows of each table. */
  *#choose(): Generator<UsageRequest> {
    const { rows } = this.options
    yield* this.#choosePages('all', [null])
    yield* this.#choosePages('provider_groups', [...rows.provider_groups].filter(isKey))
    yield* this.#choosePages('api_keys', [...rows.api_keys].filter(isKey))
    yield* this.#choosePages('keys', [...rows.keys].filter(isKey))
  }

  *#choosePages(kind: UsageRequest['kind'], keys: (Key | null)[]): Generator<UsageRequest> {
    const { limits, days } = this.options
    // The usage of all groups together is read however long the log is.
    const max = Math.max(1, Math.min(limits.rows, Math.floor(limits.days / countBuckets(days))))
    const chosen = drawSample(keys, max)
    const hours: UsageRange = { ...days, bucket: 'hour' }
    const isByHours = this.finest === 'hour' && chosen.length * countBuckets(hours) <= limits.hours
    const range = isByHours ? hours : days
    this.#scopes.push({ kind, bucket: range.bucket, compared: chosen.length, of: keys.length })
    for (const key of chosen) for (const part of splitRange(range)) yield { kind, key, ...part }
  }

  async #read(request: UsageRequest): Promise<void> {
    const { source, signed, report, onPage } = this.options
    onPage()
    // The service writes usage once a minute, or at once if a reader waits. One waiting request is
    // enough for all of them.
    let page = await source.readUsage(request, request.kind !== 'all')
    if (page.positions.some((position, shard) => position < signed[shard]!)) {
      page = await source.readUsage(request, false)
    }
    if (!checkReflected(placeOf(request, ''), page.positions, signed, report)) return
    const check = UsageCheck.open(request, page, report)
    if (check === null) return
    this.#checks.push(check)
    const byKey = this.#byKey[request.kind]
    const checks = byKey.get(request.key)
    if (checks) checks.push(check)
    else byKey.set(request.key, [check])
  }
}
