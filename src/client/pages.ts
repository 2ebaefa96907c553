import type { Exact } from '../events/exact.ts'
import { formatPositions } from '../events/positions.ts'
import type { Report } from './finding.ts'
import type { ShardFold } from './fold.ts'
import type { PageSource, ServedPage } from './source.ts'

const LISTS = ['provider-groups', 'api-keys', 'keys'] as const
type PageName = 'summary' | (typeof LISTS)[number]

/** What the log comes to for one row, as the shards that were gone through have it. */
type Expected = { sums: bigint[]; lastAccess: number; catalog: unknown[] | undefined }

/** A page that was served, and what its rows have to be. */
class PageCheck {
  readonly #expected = new Map<unknown, Expected>()

  constructor(
    readonly name: PageName,
    readonly page: ServedPage,
  ) {
    for (const row of page.rows) {
      const expected = { sums: [], lastAccess: 0, catalog: undefined }
      this.#expected.set(this.#keyOf(row), expected)
    }
  }

  /** A shard's fold has come to where the page was read. */
  collect(shard: number, fold: ShardFold): void {
    for (const [key, expected] of this.#expected) {
      const sums = this.#sumsOf(key, fold)
      for (const [i, sum] of sums.entries()) {
        expected.sums[i] = (expected.sums[i] ?? 0n) + BigInt(sum)
      }
      if (this.name === 'keys') {
        const accessed = fold.lastAccess.get(String(key)) ?? 0
        expected.lastAccess = Math.max(expected.lastAccess, accessed)
      }
      if (shard === 0) expected.catalog = this.#catalogOf(key, fold)
    }
  }

  compare(report: Report): number {
    for (const row of this.page.rows) {
      const key = this.#keyOf(row)
      for (const [field, expected] of this.#fieldsOf(this.#expected.get(key)!)) {
        if (isSame(row[field], expected)) continue
        const at = this.name === 'summary' ? 'summary' : `${this.name} ${String(key)}`
        const message =
          `${field} is ${String(row[field])} as of ${formatPositions(this.page.positions)}, ` +
          `and the log comes to ${String(expected)}`
        report({ kind: 'total', at, message })
      }
    }
    return this.page.rows.length
  }

  #keyOf(row: Record<string, unknown>): unknown {
    if (this.name === 'summary') return ''
    return this.name === 'keys' ? row.token_hash : row.id
  }

  #sumsOf(key: unknown, fold: ShardFold): readonly Exact[] | bigint[] {
    switch (this.name) {
      case 'summary': {
        const { requests, successes } = fold.totals()
        return [requests, successes]
      }
      case 'provider-groups':
        return fold.groups.get(Number(key)) ?? [0, 0]
      case 'api-keys':
        return fold.apiKeys.get(Number(key)) ?? [0, 0]
      case 'keys':
        return fold.keys.get(String(key)) ?? [0, 0, 0]
      default:
        return this.name satisfies never
    }
  }

  #catalogOf(key: unknown, fold: ShardFold): unknown[] | undefined {
    const { provider_groups, api_keys, keys } = fold.catalog
    if (this.name === 'provider-groups') return provider_groups.get(Number(key))
    return this.name === 'api-keys' ? api_keys.get(Number(key)) : keys.get(String(key))
  }

  #fieldsOf({ sums, lastAccess, catalog }: Expected): [string, unknown][] {
    const [first = 0n, second = 0n, third = 0n] = sums
    if (this.name === 'keys') {
      return [
        ['request_count', first],
        ['used_tokens', second],
        ['quota_used', third],
        ['last_accessed_at', formatSeconds(lastAccess)],
        ['quota_limit', catalog?.[0]],
      ]
    }
    const rate = (count: bigint) => (first === 0n ? 0 : Number(count) / Number(first))
    const rated: [string, unknown][] = [
      ['total_requests', first],
      ['success_requests', second],
      ['failure_requests', first - second],
      ['success_rate', rate(second)],
      ['failure_rate', rate(first - second)],
    ]
    return this.name === 'api-keys' ? [...rated, ['group_id', catalog?.[0]]] : rated
  }
}

/** The live pages, read before the log is gone through, and compared with what it comes to. */
export class Pages {
  readonly #checks: PageCheck[] = []

  private constructor(
    private readonly shards: number,
    private readonly report: Report,
  ) {}

  static async read(source: PageSource, shards: number, report: Report): Promise<Pages> {
    const pages = new Pages(shards, report)
    pages.#add('summary', await source.readSummary())
    for (const list of LISTS) {
      for await (const page of source.readList(list)) pages.#add(list, page)
    }
    return pages
  }

  /** How large a shard's tree has to be before its pages can be compared. */
  sizeOf(shard: number): number {
    return Math.max(0, ...this.#checks.map(({ page }) => (page.positions[shard] ?? -1) + 1))
  }

  /** Takes from the fold what pages need of the position it has come to; -1 before it starts. */
  collect(shard: number, fold: ShardFold): void {
    for (const check of this.#checks) {
      if (check.page.positions[shard] === fold.position) check.collect(shard, fold)
    }
  }

  /** Compares all rows, when every shard was gone through; gives how many there were. */
  compare(): number {
    return this.#checks.reduce((rows, check) => rows + check.compare(this.report), 0)
  }

  #add(name: PageName, page: ServedPage): void {
    if (page.positions.length !== this.shards) {
      const message = `its Tallybook-Position is not of ${this.shards} shards`
      this.report({ kind: 'total', at: name, message })
      return
    }
    this.#checks.push(new PageCheck(name, page))
  }
}

function isSame(shown: unknown, expected: unknown): boolean {
  if (typeof expected === 'bigint') {
    return typeof shown === 'bigint' || Number.isSafeInteger(shown)
      ? BigInt(shown as number) === expected
      : false
  }
  if (typeof expected === 'number' && typeof shown === 'number') {
    return Math.abs(shown - expected) <= 1e-12
  }
  return shown === expected
}

/** `2023-11-14T22:13:20+00:00`; null of 0. */
function formatSeconds(seconds: number): string | null {
  return seconds === 0 ? null : `${new Date(seconds * 1000).toISOString().slice(0, 19)}+00:00`
}
