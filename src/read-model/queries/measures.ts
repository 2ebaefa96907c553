import type { AccountKind } from '../../events/accounts.ts'
import { type Exact, toExact } from '../../events/exact.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import type { Page } from './keyset-page.ts'
import type { Source } from './live-source.ts'
import type { Usage } from './usage.ts'

/** A measure that is declared, or was once. */
export type Measure = { name: string; number: number; isEnded: boolean }

/** Totals of measures by name. Retired ones are there only if they were counted. */
export type Measured = Record<string, Exact>

/** Reads the measures of the catalog, in the order in which they were first declared. */
export async function readMeasures(transaction: Transaction, source: Source): Promise<Measure[]> {
  const rows = await transaction<{ name: string; number: number; is_ended: boolean }[]>`
    select r.name, r.number, r.ended_at is not null as is_ended
    from (${source.measures()}) r
    order by r.number`
  return rows.map(({ name, number, is_ended }) => ({ name, number, isEnded: is_ended }))
}

/** Adds the totals of their measures to the rows of a page, if any measure was ever declared. */
export async function withMeasured<Item extends object>(
  transaction: Transaction,
  source: Source,
  kind: AccountKind,
  reading: Promise<Page<Item>>,
  accountOf: (item: Item) => number | string,
): Promise<Page<Item & { measures?: Measured }>> {
  const [page, measures] = await Promise.all([reading, readMeasures(transaction, source)])
  const { items } = page
  if (measures.length === 0 || items.length === 0) return page
  const listed = transaction`
    select a.account
    from unnest(${items.map(accountOf).map(String)}::text[]::${
      kind === 'key' ? transaction`text` : transaction`bigint`
    }[]) as a(account)`
  const rows = await transaction<{ account: string; number: number; total: string }[]>`
    select t.account::text as account, t.number, sum(t.value) as total
    from (${source.measured(kind, listed)}) t
    group by t.account, t.number`
  const totals = new Map(rows.map(({ account, number, total }) => [`${number} ${account}`, total]))
  const measuredOf = (account: number | string) =>
    toMeasured(measures, ({ number }) => totals.get(`${number} ${account}`))
  return {
    ...page,
    items: items.map((item) => ({ ...item, measures: measuredOf(accountOf(item)) })),
  }
}

/** Adds the measures of each bucket, and in total, to usage; `parts` are rows of `partRows`. */
export async function addUsageMeasured(
  transaction: Transaction,
  parts: Fragment,
  measures: readonly Measure[],
  bounds: readonly string[],
  usage: Usage,
): Promise<Usage> {
  if (measures.length === 0) return usage
  // Row 0 is the total.
  const rows = await transaction<(Record<string, string> & { bucket: number })[]>`
    with n as (
      select
        width_bucket(u.quarter, ${`{${bounds.join(',')}}`}::timestamptz[]) as bucket
        ${sumsOfMeasures(transaction, measures, 'u')}
      from (${parts}) u
      where u.quarter >= ${bounds[0]!}::timestamptz and u.quarter < ${bounds.at(-1)!}::timestamptz
      group by 1
    )
    select * from n
    union all
    select 0 ${listMeasures(transaction, measures, (column) => `sum(n.${column})`)} from n`
  const found = new Map(rows.map((row) => [row.bucket, row]))
  const measuredOf = (bucket: number) =>
    toMeasured(measures, (measure) => found.get(bucket)?.[columnOf(measure)])
  return {
    items: usage.items.map((item, i) => ({ ...item, measures: measuredOf(i + 1) })),
    total: { ...usage.total, measures: measuredOf(0) },
  }
}

/** Converts totals, as PostgreSQL prints them, to totals by name. */
export function toMeasured(
  measures: readonly Measure[],
  totalOf: (measure: Measure) => string | null | undefined,
): Measured {
  const measured: Measured = {}
  for (const measure of measures) {
    const total = toExact(totalOf(measure) ?? '0')
    if (total !== 0 || !measure.isEnded) measured[measure.name] = total
  }
  return measured
}

/** The name of a measure's column in a statement. */
export const columnOf = ({ number }: Measure) => `m${number}`

/** Columns with the sums of measures over rows `alias`, whose `measures` are arrays. */
export function sumsOfMeasures(
  transaction: Transaction,
  measures: readonly Measure[],
  alias: string,
): Fragment {
  const sums = measures.map((measure) => {
    const element = `${alias}.measures[${measure.number + 1}]`
    return `coalesce(sum(${element}), 0) as ${columnOf(measure)}`
  })
  return transaction.unsafe(sums.map((sum) => `, ${sum}`).join('')) as unknown as Fragment
}

/** These columns, of rows `alias`, with a comma before each; `format` changes them. */
export function listMeasures(
  transaction: Transaction,
  measures: readonly Measure[],
  format: (column: string) => string,
): Fragment {
  const columns = measures.map((measure) => `, ${format(columnOf(measure))}`)
  return transaction.unsafe(columns.join('')) as unknown as Fragment
}
