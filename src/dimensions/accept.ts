import { retryOvertaken } from '../log/overtaken.ts'
import { type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'
import {
  type Accepted,
  type Answer,
  decide,
  type Question,
  type Scope,
  scopeKey,
  valueKey,
} from './decide.ts'

/** A day (UTC) of a shard, such as `2026-01-31`. */
export type ShardDay = { shard: number; day: string }

/** A scope that accepts nothing more on the day, and all values that it has accepted. */
export type FullScope = { scope: Scope; values: string[] }

/** Full scopes whose values one call reads: 10,000 values take some 5 ms. */
const MAX_FULL = 16

export type Limits = {
  limitOf: (scope: Scope) => number
  /** True if the values of a full scope are wanted. */
  isWanted: (scope: Scope) => boolean
}

/**
 * Accepts values on a day, and commits them. Whatever instances do at once, no scope exceeds its
 * limit, because the row of the day is locked. A value that was accepted before is accepted again,
 * so a caller that does not know the outcome of a call can repeat it.
 */
export function acceptValues(
  sql: Sql,
  place: ShardDay,
  questions: readonly Question[],
  { limitOf, isWanted }: Limits,
): Promise<{ answers: Answer[]; full: FullScope[] }> {
  return retryOvertaken(() =>
    transact(sql, '', async (transaction) => {
      await lockDay(transaction, place)
      const accepted = await readAccepted(transaction, place, questions)
      const { answers, added } = decide(questions, accepted, limitOf)
      if (added.length > 0) await addValues(transaction, place, added)
      const full = scopesOf(questions).filter(
        (scope) => (accepted.counts.get(scopeKey(scope)) ?? 0) >= limitOf(scope) && isWanted(scope),
      )
      // Those of dimensions are always read: there are at most eight.
      full.sort((a, b) => Number(b.kind === 'dimension') - Number(a.kind === 'dimension'))
      return { answers, full: await readAll(transaction, place, full.slice(0, MAX_FULL)) }
    }),
  )
}

const scopesOf = (questions: readonly Question[]): Scope[] => [
  ...new Map(questions.flatMap(({ scopes }) => scopes).map((one) => [scopeKey(one), one])).values(),
]

async function lockDay(transaction: Transaction, { shard, day }: ShardDay): Promise<void> {
  const lock = () => transaction`
    select from accepted_days a where a.shard = ${shard} and a.day = ${day}::text::date for update`
  if ((await lock()).length > 0) return
  await transaction`
    insert into accepted_days (shard, day) values (${shard}, ${day}::text::date)
    on conflict do nothing`
  await lock()
}

/** A value on its way into a statement; `n` numbers them. */
type Row = { n: number; kind: string; name: string; value: string }

const toJson = (rows: readonly (Scope & { value?: string })[]) =>
  JSON.stringify(rows.map(({ kind, name, value = '' }, n): Row => ({ n, kind, name, value })))

/**
 * Reads what is accepted. Looks each row up by the primary key: a join reads all rows of the day
 * while there are no statistics.
 */
async function readAccepted(
  transaction: Transaction,
  { shard, day }: ShardDay,
  questions: readonly Question[],
): Promise<Accepted> {
  const asked = questions.flatMap(({ scopes, value }) =>
    scopes.map((scope) => ({ ...scope, value })),
  )
  const scopes = scopesOf(questions)
  const [values, counts] = await Promise.all([
    transaction<{ n: number }[]>`
      select r.n
      from json_to_recordset(${toJson(asked)}::text::json)
        as r (n integer, kind text, name text, value text)
      where exists (
        select
        from accepted_values a
        where a.shard = ${shard}
          and a.day = ${day}::text::date
          and a.kind = r.kind
          and a.name = r.name
          and a.value = r.value
        offset 0
      )`,
    transaction<{ n: number; accepted: number }[]>`
      select
        r.n,
        coalesce((
          select a.accepted
          from accepted_counts a
          where a.shard = ${shard}
            and a.day = ${day}::text::date
            and a.kind = r.kind
            and a.name = r.name
        ), 0) as accepted
      from json_to_recordset(${toJson(scopes)}::text::json) as r (n integer, kind text, name text)`,
  ])
  return {
    values: new Set(values.map(({ n }) => valueKey(asked[n]!, asked[n]!.value))),
    counts: new Map(counts.map(({ n, accepted }) => [scopeKey(scopes[n]!), accepted])),
  }
}

async function addValues(
  transaction: Transaction,
  { shard, day }: ShardDay,
  added: readonly (Scope & { value: string })[],
): Promise<void> {
  const text = toJson(added)
  await Promise.all([
    transaction`
      insert into accepted_values (shard, day, kind, name, value)
      select ${shard}::integer, ${day}::text::date, r.kind, r.name, r.value
      from json_to_recordset(${text}::text::json) as r (kind text, name text, value text)`,
    transaction`
      insert into accepted_counts as a (shard, day, kind, name, accepted)
      select ${shard}::integer, ${day}::text::date, r.kind, r.name, count(*)
      from json_to_recordset(${text}::text::json) as r (kind text, name text)
      group by r.kind, r.name
      on conflict (shard, day, kind, name) do update
      set accepted = a.accepted + excluded.accepted`,
  ])
}

async function readAll(
  transaction: Transaction,
  { shard, day }: ShardDay,
  scopes: readonly Scope[],
): Promise<FullScope[]> {
  if (scopes.length === 0) return []
  const rows = await transaction<{ n: number; values: string }[]>`
    select
      r.n,
      array_to_json(array(
        select a.value
        from accepted_values a
        where a.shard = ${shard}
          and a.day = ${day}::text::date
          and a.kind = r.kind
          and a.name = r.name
      ))::text as values
    from json_to_recordset(${toJson(scopes)}::text::json) as r (n integer, kind text, name text)`
  return rows.map(({ n, values }) => ({ scope: scopes[n]!, values: JSON.parse(values) }))
}
