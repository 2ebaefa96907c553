import { randomInt } from 'node:crypto'
import type { OnFinding } from './finding.ts'
import type { CatalogTable, Counting } from './fold.ts'
import { checkReflected } from './reflected.ts'
import type { PageSource, UsageRequest } from './sources/source.ts'
import { placeOf, UsageCheck } from './usage-check.ts'
import { type Bucket, countBuckets, FIRST_DAY, splitRange, type UsageRange } from './usage-range.ts'

type Key = number | string

/** How much usage is compared, of the rows of each table of the catalog. */
export type UsageLimits = {
  rows: number
  /** Days of all of them: fewer rows where a log is old. */
  days: number
  /** Hours of all of them; where they would be more, usage is compared by the day. */
  hours: number
}
export const USAGE_LIMITS: UsageLimits = { rows: 1_000, days: 500_000, hours: 500_000 }
export const ALL_USAGE: UsageLimits = { ...USAGE_LIMITS, rows: Infinity, days: Infinity }

/** Pages that are asked for at once: readers who wait for the same pass cost it once. */
const AT_ONCE = 4

/** Of how many of the rows there are usage was compared, and by what. */
export type UsageScope = {
  kind: UsageRequest['kind']
  bucket: Bucket
  compared: number
  of: number
}

export type UsageReport = {
  /** Hours and days that were compared. */
  buckets: number
  scopes: UsageScope[]
  /** Events that count, recorded outside of the range whose usage was compared. */
  outside: number
}

export type UsageOptions = {
  source: PageSource
  /** Whole days. */
  days: UsageRange
  /** All that lists have, ended ones too. */
  rows: Record<CatalogTable, Iterable<Key>>
  limits: UsageLimits
  signed: readonly number[]
  report: OnFinding
  onPage: () => void
}

/**
 * Pages of usage, read before the log is gone through and compared with what it comes to. Which
 * rows they are of is left to chance where there are many, so that nobody knows beforehand.
 */
export class UsagePages {
  readonly #checks: UsageCheck[] = []
  readonly #byKey: Record<UsageRequest['kind'], Map<Key | null, UsageCheck[]>> = {
    ...{ all: new Map(), provider_groups: new Map() },
    ...{ api_keys: new Map(), keys: new Map() },
  }
  readonly #scopes: UsageScope[] = []
  #before = 0
  #after = 0

  private constructor(private readonly options: UsageOptions) {}

  static async read(options: UsageOptions): Promise<UsagePages> {
    const pages = new UsagePages(options)
    const requests = pages.#choose()
    const readOn = async () => {
      for (const request of requests) await pages.#read(request)
    }
    // Where one fails, `for` ends the requests for all.
    await Promise.all(Array.from({ length: AT_ONCE }, readOn))
    return pages
  }

  /** How large a shard's tree has to be before these pages can be compared. */
  sizeOf(shard: number): number {
    return this.#checks.reduce((size, { positions }) => Math.max(size, positions[shard]! + 1), 0)
  }

  /** What takes from a shard's fold all that these pages are of. */
  countingOf(shard: number): Counting {
    const size = this.sizeOf(shard)
    let [at, ms] = [0, 0]
    const add = (checks: UsageCheck[] | undefined, values: readonly number[]) => {
      for (const check of checks ?? []) check.add(shard, at, ms, values)
    }
    return {
      begin: (position, recordedAt) => {
        ;[at, ms] = [position, Date.parse(recordedAt)]
        if (position >= size) return
        if (ms < this.options.days.from) this.#before++
        if (ms >= this.options.days.to) this.#after++
      },
      add: (table, key, values) => {
        if (at >= size) return
        add(this.#byKey[table].get(key), values)
        if (table === 'provider_groups') add(this.#byKey.all.get(null), values)
      },
    }
  }

  /** Compares all pages, when every shard was gone through. */
  compare(): UsageReport {
    const { days, signed, report } = this.options
    const isCut = days.from === FIRST_DAY
    // Of an empty log nobody has said when it begins.
    if (this.#before > 0 && !isCut && signed.some((position) => position >= 0)) {
      const day = new Date(days.from).toISOString().slice(0, 10)
      const older = `${this.#before} events are from before ${day}`
      const message = `${older}: another one was shown for the first`
      report({ kind: 'total', at: 'usage', message })
    }
    const buckets = this.#checks.reduce((sum, check) => sum + check.compare(report), 0)
    return { buckets, scopes: this.#scopes, outside: this.#after + (isCut ? this.#before : 0) }
  }

  /** What is asked for: the usage of all together, and of rows of each table. */
  *#choose(): Generator<UsageRequest> {
    const { rows } = this.options
    yield* this.#choosePages('all', [null])
    yield* this.#choosePages('provider_groups', [...rows.provider_groups].filter(isKey))
    yield* this.#choosePages('api_keys', [...rows.api_keys].filter(isKey))
    yield* this.#choosePages('keys', [...rows.keys].filter(isKey))
  }

  *#choosePages(kind: UsageRequest['kind'], keys: (Key | null)[]): Generator<UsageRequest> {
    const { limits, days } = this.options
    const of = keys.length
    // The usage of all is read however long the log is.
    const most = Math.max(1, Math.min(limits.rows, Math.floor(limits.days / countBuckets(days))))
    const chosen = draw(keys, most)
    const hours: UsageRange = { ...days, bucket: 'hour' }
    const range = chosen.length * countBuckets(hours) <= limits.hours ? hours : days
    this.#scopes.push({ kind, bucket: range.bucket, compared: chosen.length, of })
    for (const key of chosen) for (const part of splitRange(range)) yield { kind, key, ...part }
  }

  async #read(request: UsageRequest): Promise<void> {
    const { source, signed, report, onPage } = this.options
    onPage()
    // A service writes usage once a minute, and at once where a reader waits: one wait will do.
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

/** What can be asked for: lists that have more are found to be wrong. */
const isKey = (key: Key) =>
  typeof key === 'number' ? key > 0 : key !== '' && key.length <= 1_024 && key.isWellFormed()

/** So many of these, by chance. */
function draw<Value>(values: Value[], count: number): Value[] {
  if (count >= values.length) return values
  for (let i = 0; i < count; i++) {
    const other = randomInt(i, values.length)
    ;[values[i], values[other]] = [values[other]!, values[i]!]
  }
  return values.slice(0, count)
}
