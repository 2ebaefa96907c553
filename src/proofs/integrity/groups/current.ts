import type { CatalogChange, CatalogRows } from '../../../events/catalog-change.ts'
import type { AttestedTable, DigestValue } from '../../../events/digest.ts'
import type { Event } from '../../../events/event.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { compareKeys } from '../../verifier/exact-sums.ts'
import { ShardFold } from '../../verifier/fold.ts'
import { compareRows, type RowRange } from '../compare.ts'
import type { Problem } from '../problem.ts'
import { attestedTable, type ProjectionTable, type Target } from '../tables.ts'
import { BOOKKEEPING_TABLES, BookkeepingRows } from './bookkeeping.ts'
import type { CheckedProjection, ProjectionGroup, Settled, Targets } from './group.ts'
import { UNKNOWN_TABLES, UnknownRows } from './unknown.ts'

const KINDS = ['provider_groups', 'api_keys', 'keys', 'dimensions', 'measures'] as const
type CatalogKind = (typeof KINDS)[number]

/** Returns the table with every version of a kind of catalog row. */
function versionsTable(name: string, kind: CatalogKind): ProjectionTable {
  const { key, values } = attestedTable(kind)
  return { name, key: [...key, 'position'], values, isSharded: false }
}

const COUNTERS = ['api_key_counters', 'key_counters', 'provider_group_counters'] as const
const VERSIONS: Record<CatalogKind, ProjectionTable> = {
  provider_groups: versionsTable('provider_group_versions', 'provider_groups'),
  api_keys: versionsTable('api_key_versions', 'api_keys'),
  keys: versionsTable('key_versions', 'keys'),
  dimensions: versionsTable('dimension_versions', 'dimensions'),
  measures: versionsTable('measure_versions', 'measures'),
}
/** The table with the measures of the accounts in each table of counters. */
const MEASURES = {
  api_key_counters: 'api_key_measures',
  key_counters: 'key_measures',
  provider_group_counters: 'provider_group_measures',
} as const
const COUNTER_VERSIONS = { api_key_counters: 1, key_counters: 2, provider_group_counters: 1 }

const PROJECTIONS: readonly CheckedProjection[] = [
  ...COUNTERS.map((name) => ({
    projection: name,
    version: COUNTER_VERSIONS[name],
    tables: [attestedTable(name), attestedTable(MEASURES[name])],
  })),
  {
    projection: 'catalog',
    version: 2,
    tables: KINDS.flatMap((kind) => [attestedTable(kind), VERSIONS[kind]]),
  },
  { projection: 'bookkeeping', version: 4, tables: [...BOOKKEEPING_TABLES, ...UNKNOWN_TABLES] },
]

/** Versions that are held in memory before they are compared. */
const MAX_PENDING = 10_000

/** Checks counters, acts and the catalog as they are now, and every version of a catalog row. */
export class CurrentGroup implements ProjectionGroup {
  readonly projections = PROJECTIONS
  readonly #fold = new ShardFold({ counters: true, usage: false, catalog: true })
  /** Expected versions that were not compared yet. */
  readonly #versions: Record<CatalogKind, DigestValue[][]> = {
    ...{ provider_groups: [], api_keys: [], keys: [] },
    ...{ dimensions: [], measures: [] },
  }
  readonly #bookkeeping = new BookkeepingRows()
  readonly #unknown = new UnknownRows()
  /** Versions up to here were compared. */
  #comparedThrough = -1

  constructor(private readonly shard: number) {}

  add(event: Event | null, position: number, recordedAt: string): void {
    this.#fold.add(event, position, recordedAt)
    if (event === null) return
    this.#unknown.add(event, position, recordedAt)
    // Only shard 0 has the catalog, and acts.
    if (this.shard !== 0) return
    if (event.type === 'CatalogChanged') this.#noteVersions(event.data, position)
    this.#bookkeeping.add(event, position, recordedAt)
  }

  /**
   * Versions are only added, so all of them are settled. They have no index by position: few are
   * left for the end.
   */
  async compareSettled(sql: Transaction, targets: Targets, position: number): Promise<Settled[]> {
    const target = targets.get('catalog')
    const pending = KINDS.reduce((sum, kind) => sum + this.#versions[kind].length, 0)
    if (target === undefined || pending < MAX_PENDING) return []
    const condition = 't.position > $3 and t.position <= $4'
    const range = { condition, parameters: [this.#comparedThrough, position] }
    const problems: Problem[] = []
    for (const kind of KINDS) {
      problems.push(...(await this.#compareVersions(sql, kind, target, range)))
      this.#versions[kind] = []
    }
    this.#comparedThrough = position
    return [{ projection: 'catalog', problems }]
  }

  async compare(sql: Transaction, projection: string, target: Target): Promise<Problem[]> {
    if (projection === 'bookkeeping') {
      const acts = this.shard === 0 ? await this.#bookkeeping.compare(sql, target) : []
      return [...acts, ...(await this.#unknown.compare(sql, target))]
    }
    const counters = COUNTERS.find((name) => name === projection)
    if (counters !== undefined) {
      const problems = await this.#compareTable(sql, counters, target)
      return [...problems, ...(await this.#compareTable(sql, MEASURES[counters], target))]
    }
    const problems: Problem[] = []
    for (const kind of this.shard === 0 ? KINDS : []) {
      problems.push(...(await this.#compareTable(sql, kind, target)))
      const condition = '(t.position < 0 or t.position > $3)'
      const range = { condition, parameters: [this.#comparedThrough] }
      problems.push(...(await this.#compareVersions(sql, kind, target, range)))
    }
    return problems
  }

  #compareVersions(sql: Transaction, kind: CatalogKind, target: Target, range: RowRange) {
    const versions = this.#versions[kind].sort(byIdAndPosition)
    return compareRows(sql, VERSIONS[kind], target, versions, range)
  }

  #compareTable(sql: Transaction, table: AttestedTable, target: Target): Promise<Problem[]> {
    return compareRows(sql, attestedTable(table), target, this.#fold.rows(table))
  }

  /** Records one version of each row that a change names, however often, as folded. */
  #noteVersions({ upserted, ended }: CatalogChange, position: number): void {
    const catalog = this.#fold.catalog
    for (const kind of KINDS) {
      const named = [...(upserted[kind] ?? []), ...(ended[kind] ?? [])]
      const ids = new Set(named.map(keyOf))
      for (const id of ids) {
        this.#versions[kind].push([id, position, ...catalog[kind].get(id)!])
      }
    }
  }
}

function keyOf(row: NonNullable<CatalogRows[CatalogKind]>[number]): number | string {
  if ('id' in row) return row.id
  return 'token_hash' in row ? row.token_hash : row.name
}

const byIdAndPosition = (a: DigestValue[], b: DigestValue[]) =>
  compareKeys(a[0] as number | string, b[0] as number | string) || Number(a[1]) - Number(b[1])
