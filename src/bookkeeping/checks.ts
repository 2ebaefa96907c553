import { ACCOUNTS, type AccountKind } from '../events/accounts.ts'
import type { Amounts } from '../events/amounts.ts'
import type { Fragment, Transaction } from '../platform/postgres/pool.ts'
import { listOf, totalOfRows } from '../read-model/projections/account-sql.ts'
import { toArray, toTextArray } from '../read-model/projections/array.ts'
import { SLICE_ROWS } from '../read-model/projections/slices.ts'
import { liveGeneration, liveSource } from '../read-model/queries/live-source.ts'

/** An account as messages name it: `API key 7`. */
export type AccountName = string

/** Accounts that are named in a refusal. */
const MAX_NAMED = 20

const NAMES = { provider_group: 'provider group', api_key: 'API key', key: 'token key' } as const
const CATALOG = { provider_group: 'provider_groups', api_key: 'api_keys', key: 'keys' } as const

/** The amounts of one kind, by column: accounts, then sums in the order of ACCOUNTS[kind].sums. */
type Columns = { kind: AccountKind; accounts: (number | string)[]; sums: number[][] }

function columnsOf({ provider_groups, api_keys, keys }: Amounts): Columns[] {
  const rated = (kind: AccountKind, rows: Amounts['api_keys']): Columns[] =>
    rows ? [{ kind, accounts: rows.ids, sums: [rows.requests, rows.successes] }] : []
  return [
    ...rated('provider_group', provider_groups),
    ...rated('api_key', api_keys),
    ...(keys
      ? [
          {
            kind: 'key' as const,
            accounts: keys.hashes,
            sums: [keys.requests, keys.tokens, keys.quota_used],
          },
        ]
      : []),
  ]
}

/** Cuts columns into slices; all rows of an account, which follow each other, are in one. */
function* cut({ kind, accounts, sums }: Columns): Generator<Columns> {
  for (let from = 0, to = 0; from < accounts.length; from = to) {
    to = Math.min(from + SLICE_ROWS, accounts.length)
    while (to < accounts.length && accounts[to] === accounts[to - 1]) to++
    const slice = <Value>(column: readonly Value[]) => column.slice(from, to)
    yield { kind, accounts: slice(accounts), sums: sums.map(slice) }
  }
}

/** The accounts as rows `a (account)` of their own type, for use after `from`. */
function listed(transaction: Transaction, { kind, accounts }: Columns): Fragment {
  const { type } = ACCOUNTS[kind]
  const texts = toTextArray(accounts, String)
  return transaction`unnest(${texts}::text[]::${transaction.unsafe(type)}[]) as a(account)`
}

/** Returns accounts that are not in the catalog; retired ones are. */
export function findUnknown(transaction: Transaction, amounts: Amounts): Promise<AccountName[]> {
  return findIn(transaction, amounts, (columns) => {
    const id = transaction(columns.kind === 'key' ? 'token_hash' : 'id')
    return transaction`
      select a.account
      from ${listed(transaction, columns)}
      where not exists (
        select
        from ${transaction(CATALOG[columns.kind])} r
        where r.generation = ${liveGeneration(transaction, 'catalog')} and r.${id} = a.account
      )`
  })
}

/** Returns accounts with opening balances that were not reversed. */
export function findOpen(transaction: Transaction, amounts: Amounts): Promise<AccountName[]> {
  const generation = liveGeneration(transaction, 'bookkeeping')
  return findIn(
    transaction,
    amounts,
    (columns) => transaction`
      select a.account
      from ${listed(transaction, columns)}
        join openings o on o.generation = ${generation}
          and o.kind = ${columns.kind} and o.account = a.account::text
      where not exists (
        select
        from acts t
        where t.generation = ${generation}
          and t.reversed_shard = 0 and t.reversed_position = o.position
      )`,
  )
}

/**
 * Returns accounts whose totals would be below zero, or have more successes than requests, with
 * these amounts added.
 */
export function findBroken(
  transaction: Transaction,
  amounts: Amounts,
  sign: 1 | -1,
): Promise<AccountName[]> {
  return findIn(transaction, amounts, (columns) => {
    const { kind, sums } = columns
    const shape = ACCOUNTS[kind]
    const accounts = transaction`select a.account from ${listed(transaction, columns)}`
    const arrays = sums
      .map((column) => transaction`${toArray(column, (n) => n)}::numeric[]`)
      .reduce((all, array) => transaction`${all}, ${array}`)
    const texts = toTextArray(columns.accounts, String)
    const after = shape.sums.map(
      (name) => `(coalesce(n.${name}, 0) ${sign === 1 ? '+' : '-'} d.${name})`,
    )
    const rules = [
      ...after.map((total) => `${total} < 0`),
      ...(kind === 'key' ? [] : [`${after[1]} > ${after[0]}`]),
    ]
    return transaction`
      select d.account
      from (
          select f.account, ${totalOfRows(transaction, { ...shape, maxima: [] }, 'f')}
          from unnest(${texts}::text[]::${transaction.unsafe(shape.type)}[], ${arrays})
            as f(account, ${listOf(transaction, shape.sums)})
          group by f.account
        ) d
        left join (
          select t.account, ${totalOfRows(transaction, { ...shape, maxima: [] }, 't')}
          from (${countersOf(transaction, columns, accounts)}) t
          group by t.account
        ) n on n.account = d.account
      where ${transaction.unsafe(rules.join(' or '))}`
  })
}

/** The most accounts that are looked for one by one in each row of counters, as pages are. */
const MAX_COMPARED = 100

/**
 * A `select` of the counters of accounts. Many accounts are joined by a hash: 10,000 among 50,000
 * take 0.1 s instead of 2 s.
 */
function countersOf(
  transaction: Transaction,
  { kind, accounts: { length } }: Columns,
  accounts: Fragment,
): Fragment {
  const source = liveSource(transaction)
  if (length <= MAX_COMPARED) return source.counters(kind, accounts)
  return transaction`
    select c.* from (${source.counters(kind, null)}) c where c.account in (${accounts})`
}

/**
 * Runs a query of accounts for each kind, and returns the names of the first few. Many accounts are
 * passed in slices, so that other requests are served in between.
 */
async function findIn(
  transaction: Transaction,
  amounts: Amounts,
  select: (columns: Columns) => Fragment,
): Promise<AccountName[]> {
  const names: AccountName[] = []
  for (const columns of columnsOf(amounts).flatMap((one) => [...cut(one)])) {
    if (names.length >= MAX_NAMED) break
    const rows = await transaction<{ account: string }[]>`
      select f.account from (${select(columns)}) f order by f.account limit ${MAX_NAMED}`
    names.push(...rows.map(({ account }) => `${NAMES[columns.kind]} ${account}`))
  }
  return names.slice(0, MAX_NAMED)
}
