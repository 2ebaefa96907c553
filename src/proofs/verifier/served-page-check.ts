import { formatPositions } from '../../events/positions.ts'
import type { OnFinding } from './finding.ts'
import type { ShardFold } from './fold.ts'
import { isSame, ratedFields, toText } from './shown.ts'
import type { ServedPage } from './sources/source.ts'

export const LISTS = ['provider-groups', 'api-keys', 'keys'] as const
export type ListName = (typeof LISTS)[number]
export type PageName = 'summary' | ListName

/** The table of the catalog that a list is of, and its columns before the time of the end. */
export const LISTED = {
  'provider-groups': { table: 'provider_groups', columns: ['name'] },
  'api-keys': { table: 'api_keys', columns: ['group_id', 'name'] },
  keys: { table: 'keys', columns: ['quota_limit', 'name'] },
} as const

/** What the log comes to for one row, as the shards that were gone through have it. */
type Expected = {
  sums: bigint[]
  lastAccess: number
  catalog: readonly unknown[] | undefined
}

/** Key of the one row of the summary. */
const ALL = ''

/** A page that was served, and what its rows have to be. */
export class ServedPageCheck {
  readonly #expected = new Map<number | string, Expected>()
  /** Of its rows, in their order. */
  readonly keys: (number | string)[] = []

  constructor(
    readonly name: PageName,
    readonly page: ServedPage,
  ) {
    for (const row of page.rows) {
      const key = this.#keyOf(row)
      if (key === null) continue
      this.keys.push(key)
      this.#expected.set(key, { sums: [], lastAccess: 0, catalog: undefined })
    }
  }

  /** A shard's fold has come to where the page was read. */
  collect(shard: number, fold: ShardFold): void {
    for (const [key, expected] of this.#expected) {
      for (const [i, sum] of this.#sumsOf(key, fold).entries()) {
        expected.sums[i] = (expected.sums[i] ?? 0n) + BigInt(sum)
      }
      expected.lastAccess = Math.max(expected.lastAccess, fold.lastAccess.get(String(key)) ?? 0)
      if (shard === 0 && this.name !== 'summary') {
        expected.catalog = fold.catalog[LISTED[this.name].table].get(key)
      }
    }
  }

  /** Compares all rows; gives how many there were. */
  compare(report: OnFinding): number {
    for (const row of this.page.rows) {
      const key = this.#keyOf(row)
      const at = key === ALL ? this.name : `${this.name} ${key ?? '?'}`
      const find = (message: string) => report({ kind: 'total', at, message })
      const expected = key === null ? undefined : this.#expected.get(key)
      if (!expected) find('what stands there is not a row')
      else if (this.name !== 'summary' && !expected.catalog) find('the log has no such row')
      else this.#compareRow(row, expected, find)
    }
    return this.page.rows.length
  }

  #compareRow(row: unknown, expected: Expected, find: (message: string) => void): void {
    const shown = row as Record<string, unknown>
    for (const [field, value] of this.#fieldsOf(expected)) {
      if (isSame(shown[field], value)) continue
      find(
        `${field} is ${toText(shown[field])} as of ${formatPositions(this.page.positions)}, ` +
          `and the log comes to ${toText(value)}`,
      )
    }
  }

  /** Null where it is no row. */
  #keyOf(row: unknown): number | string | null {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) return null
    if (this.name === 'summary') return ALL
    const { id, token_hash } = row as Record<string, unknown>
    if (this.name === 'keys') return typeof token_hash === 'string' ? token_hash : null
    return Number.isSafeInteger(id) ? (id as number) : null
  }

  #sumsOf(key: number | string, fold: ShardFold): readonly (number | bigint)[] {
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

  #fieldsOf({ sums, lastAccess, catalog }: Expected): [string, unknown][] {
    const [first = 0n, second = 0n, third = 0n] = sums
    const counted: [string, unknown][] =
      this.name === 'keys'
        ? [
            ['request_count', first],
            ['used_tokens', second],
            ['quota_used', third],
            ['last_accessed_at', formatSeconds(lastAccess)],
          ]
        : ratedFields(first, second)
    if (this.name === 'summary') return counted
    // A page shows no name where there is none, and no end of a row that didn't end.
    const fields = [...LISTED[this.name].columns, 'ended_at']
    const values = catalog?.map((value, i) =>
      (fields[i] === 'name' && value === '') || value === undefined ? null : value,
    )
    return [...counted, ...fields.map((field, i): [string, unknown] => [field, values?.[i]])]
  }
}

/** `2023-11-14T22:13:20+00:00`; null of 0. */
function formatSeconds(seconds: number): string | null {
  return seconds === 0 ? null : `${new Date(seconds * 1000).toISOString().slice(0, 19)}+00:00`
}
