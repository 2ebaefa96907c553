import { formatPositions } from '../../events/positions.ts'
import type { OnFinding } from './finding.ts'
import type { ShardFold } from './fold.ts'
import { isSame, ratedFields, toText } from './page-values.ts'
import type { ServedPage } from './sources/source.ts'

/** The lists that are compared, by their path. */
export const LISTS = ['provider-groups', 'api-keys', 'keys', 'dimensions', 'measures'] as const
/** The path of a list. */
export type ListName = (typeof LISTS)[number]
/** A page other than usage. */
export type PageName = 'summary' | ListName

/** The catalog table of a list, and its columns after the key; a page does not show null. */
export const LISTED = {
  'provider-groups': { table: 'provider_groups', columns: ['name', 'ended_at', 'external_id'] },
  'api-keys': { table: 'api_keys', columns: ['group_id', 'name', 'ended_at', 'external_id'] },
  keys: { table: 'keys', columns: ['quota_limit', 'name', 'ended_at'] },
  dimensions: { table: 'dimensions', columns: ['ended_at'] },
  measures: { table: 'measures', columns: [null, 'ended_at', 'unit'] },
} as const

/** The expected values of one row, from the shards folded so far. */
type Expected = {
  sums: bigint[]
  lastAccess: number
  catalog: readonly unknown[] | undefined
  /** By number. */
  measures: bigint[]
}

/** The kind of account in the rows of a list; dimensions and measures have none. */
const ACCOUNTS = {
  'provider-groups': 'provider_group',
  'api-keys': 'api_key',
  keys: 'key',
} as const

/** The key of the summary's only row. */
const ALL = ''

/** A served page, and the expected values of its rows. */
export class ServedPageCheck {
  readonly #expected = new Map<number | string, Expected>()
  /** The measures of the catalog: number and end by name. */
  #declared: readonly (readonly [name: string, number: number, endedAt: unknown])[] = []
  /** The keys of its rows, in order. */
  readonly keys: (number | string)[] = []

  constructor(
    readonly name: PageName,
    readonly page: ServedPage,
  ) {
    for (const row of page.rows) {
      const key = this.#keyOf(row)
      if (key === null) continue
      this.keys.push(key)
      this.#expected.set(key, { sums: [], lastAccess: 0, catalog: undefined, measures: [] })
    }
  }

  /** Collects a shard's values when its fold has reached the position that the page reflects. */
  collect(shard: number, fold: ShardFold): void {
    if (shard === 0) {
      this.#declared = [...fold.catalog.measures].map(([name, [number, endedAt]]) => {
        return [String(name), Number(number), endedAt] as const
      })
    }
    for (const [key, expected] of this.#expected) {
      if (this.name in ACCOUNTS) {
        const kind = ACCOUNTS[this.name as keyof typeof ACCOUNTS]
        for (const [number, value] of fold.measuresOf(kind, key).entries()) {
          expected.measures[number] = (expected.measures[number] ?? 0n) + BigInt(value)
        }
      }
      for (const [i, sum] of this.#sumsOf(key, fold).entries()) {
        expected.sums[i] = (expected.sums[i] ?? 0n) + BigInt(sum)
      }
      expected.lastAccess = Math.max(expected.lastAccess, fold.lastAccess.get(String(key)) ?? 0)
      if (shard === 0 && this.name !== 'summary') {
        expected.catalog = fold.catalog[LISTED[this.name].table].get(key)
      }
    }
  }

  /** Compares all rows. Returns how many there are. */
  compare(report: OnFinding): number {
    for (const row of this.page.rows) {
      const key = this.#keyOf(row)
      const at = key === ALL ? this.name : `${this.name} ${key ?? '?'}`
      const find = (message: string) => report({ kind: 'total', at, message })
      const expected = key === null ? undefined : this.#expected.get(key)
      if (!expected) find('the item is not a row')
      else if (this.name !== 'summary' && !expected.catalog) find('the log has no such row')
      else this.#compareRow(row, expected, find)
    }
    return this.page.rows.length
  }

  #compareRow(row: unknown, expected: Expected, find: (message: string) => void): void {
    const shown = row as Record<string, unknown>
    const compare = (field: string, is: unknown, value: unknown) => {
      if (isSame(is, value)) return
      find(
        `${field} is ${toText(is)} as of ${formatPositions(this.page.positions)}, ` +
          `but ${toText(value)} according to the log`,
      )
    }
    for (const [field, value] of this.#fieldsOf(expected)) compare(field, shown[field], value)
    if (!(this.name in ACCOUNTS)) return
    const measures = (shown.measures ?? {}) as Record<string, unknown>
    const own = new Map(this.#measuresOf(expected))
    for (const name of new Set([...Object.keys(measures), ...own.keys()])) {
      compare(`measures.${name}`, measures[name], own.get(name))
    }
  }

  /** The measures that a row shows; those that have ended only if they were counted. */
  #measuresOf({ measures }: Expected): [string, bigint][] {
    return this.#declared.flatMap(([name, number, endedAt]): [string, bigint][] => {
      const total = measures[number] ?? 0n
      return total === 0n && endedAt !== null ? [] : [[name, total]]
    })
  }

  /** Returns the key of a row, or null if it is not a row. */
  #keyOf(row: unknown): number | string | null {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) return null
    if (this.name === 'summary') return ALL
    const { id, token_hash, name } = row as Record<string, unknown>
    if (this.name === 'dimensions' || this.name === 'measures') {
      return typeof name === 'string' ? name : null
    }
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
      case 'dimensions':
      case 'measures':
        return []
      default:
        return this.name satisfies never
    }
  }

  #fieldsOf({ sums, lastAccess, catalog }: Expected): [string, unknown][] {
    const [first = 0n, second = 0n, third = 0n] = sums
    const isDeclared = this.name === 'dimensions' || this.name === 'measures'
    const counted: [string, unknown][] = isDeclared
      ? []
      : this.name === 'keys'
        ? [
            ['request_count', first],
            ['used_tokens', second],
            ['quota_used', third],
            ['last_accessed_at', formatSeconds(lastAccess)],
          ]
        : ratedFields(first, second)
    if (this.name === 'summary') return counted
    // A page shows null for an empty name, and for the end of a row that has not been retired.
    const fields: readonly (string | null)[] = LISTED[this.name].columns
    const values = catalog?.map((value, i) =>
      (fields[i] === 'name' && value === '') || value === undefined ? null : value,
    )
    const own = fields.flatMap((field, i): [string, unknown][] =>
      field === null ? [] : [[field, values?.[i]]],
    )
    const shown = [...counted, ...own]
    // With a period, the page shows what was used since it began, which depends on the time.
    const hasPeriod = this.name === 'keys' && (values?.[3] ?? null) !== null
    return hasPeriod ? shown.filter(([field]) => field !== 'quota_used') : shown
  }
}

/** Formats Unix seconds as `2023-11-14T22:13:20+00:00`. Returns null for 0. */
function formatSeconds(seconds: number): string | null {
  return seconds === 0 ? null : `${new Date(seconds * 1000).toISOString().slice(0, 19)}+00:00`
}
