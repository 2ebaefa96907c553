import { type Exact, toExact } from '../events/exact.ts'
import { parseApiKeyName, type UnknownKind } from '../events/unknown.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Fragment, Transaction } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import { bookkeeping } from '../read-model/projections/bookkeeping.ts'
import { type Page, type PageRequest, toKeyset, toPage } from '../read-model/queries/keyset-page.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'

/** Names of each kind that are listed, in order of appearance; the others are counted together. */
const MAX_LISTED = 100_000

/** Counts that flushes posted for a key that the catalog did not have, and no act has taken. */
type Counts = { requests: Exact; flushes: Exact }

/** A key that flushes named, and that the catalog did not have. */
export type UnknownKey = Counts & {
  /** RFC 3339. */
  first_seen: string
  last_seen: string
} & ({ id: number | null; external_id: string | null } | { token_hash: string })

/** A page of unknown keys, and the sums over those that are not listed. */
export type UnknownKeysPage = Page<UnknownKey> & { other: Counts }

export const UNKNOWN_SORTS = {
  name: 'text',
  requests: 'numeric',
  flushes: 'numeric',
  first_seen: 'text',
  last_seen: 'text',
} as const

export type UnknownKeysRequest = Pick<PageRequest, 'limit' | 'sort' | 'cursor'> & {
  kind: UnknownKind
}

type Row = {
  name: string
  requests: string
  flushes: string
  first_seen: string
  last_seen: string
}

/** Reads what flushes named and the catalog did not have. Throws CursorError. */
export async function readUnknownKeys(
  transaction: Transaction,
  { kind, ...request }: UnknownKeysRequest,
): Promise<UnknownKeysPage> {
  await requireUnknownKeys(transaction)
  const page: PageRequest = { ...request, ended: false, search: null }
  const { column, cut } = toKeyset(transaction, page, UNKNOWN_SORTS, 'name')
  const listed = listedNames(transaction, kind)
  const rows = await transaction<Row[]>`
    select *
    from (
      select
        n.name, n.requests, n.flushes,
        ${transaction.unsafe(toMicroseconds('n.first_seen'))} as first_seen,
        ${transaction.unsafe(toMicroseconds('n.last_seen'))} as last_seen
      from (${listed}) n
    ) r
    where ${cut}`
  const [sums] = await transaction<{ requests: string; flushes: string }[]>`
    select
      k.requests - t.requests - l.requests as requests,
      k.flushes - t.flushes - l.flushes as flushes
    from (${sumOf(transaction, transaction`${ofKind(transaction, 'unknown_keys', kind)}`)}) k
      cross join (${sumOf(transaction, ofKind(transaction, 'unknown_taken', kind))}) t
      cross join (${sumOf(transaction, listed)}) l`
  const { items, next_cursor } = toPage(
    rows,
    page,
    (row) => [row[column as keyof Row], row.name],
    (row) => toItem(kind, row),
  )
  const other = { requests: toExact(sums!.requests), flushes: toExact(sums!.flushes) }
  return { items, next_cursor, other }
}

/**
 * Throws TemporarilyUnavailable while the projection that an older release built is still live: it
 * has no unknown keys.
 */
export async function requireUnknownKeys(transaction: Transaction): Promise<void> {
  const [row] = await transaction<{ version: number }[]>`
    select p.version from projections p where p.projection = ${bookkeeping.name}`
  if (row!.version >= bookkeeping.version) return
  const detail = 'Unknown keys are being read from the log for this version. Retry later.'
  throw new TemporarilyUnavailable('projection rebuilding', 10, detail)
}

const ofKind = (
  transaction: Transaction,
  table: string,
  kind: UnknownKind,
): Fragment => transaction`
  select t.name, t.requests, t.flushes
  from ${transaction(table)} t
  where t.generation = ${liveGeneration(transaction, bookkeeping.name)} and t.kind = ${kind}`

const sumOf = (transaction: Transaction, rows: Fragment): Fragment => transaction`
  select
    coalesce(sum(s.requests), 0) as requests, coalesce(sum(s.flushes), 0) as flushes
  from (${rows}) s`

/** A `select` of the names that are listed, with what acts have left of them. */
function listedNames(transaction: Transaction, kind: UnknownKind): Fragment {
  return transaction`
    select k.name, k.first_seen, k.last_seen,
      k.requests - coalesce(t.requests, 0) as requests,
      k.flushes - coalesce(t.flushes, 0) as flushes
    from (
      select u.name, sum(u.requests) as requests, sum(u.flushes) as flushes,
        min(u.first_seen) as first_seen, max(u.last_seen) as last_seen
      from unknown_keys u
      where u.generation = ${liveGeneration(transaction, bookkeeping.name)}
        and u.kind = ${kind} and u.name <> ''
      group by u.name
      order by min(u.number), u.name
      limit ${MAX_LISTED}
    ) k
      left join (
        select t.name, sum(t.requests) as requests, sum(t.flushes) as flushes
        from (${ofKind(transaction, 'unknown_taken', kind)}) t
        group by t.name
      ) t on t.name = k.name
    where k.flushes > coalesce(t.flushes, 0)`
}

function toItem(kind: UnknownKind, { name, first_seen, last_seen, ...row }: Row): UnknownKey {
  const counts = {
    requests: toExact(row.requests),
    flushes: toExact(row.flushes),
    first_seen,
    last_seen,
  }
  if (kind === 'key') return { token_hash: name, ...counts }
  const named = parseApiKeyName(name)
  return 'id' in named
    ? { id: named.id, external_id: null, ...counts }
    : { id: null, external_id: named.externalId, ...counts }
}
