import { type Exact, toExact } from '../events/exact.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import { type Page, type PageRequest, toKeyset, toPage } from '../read-model/queries/keyset-page.ts'
import type { Range } from './epoch.ts'

/** Flushes from which on a source can be silent: two intervals are usual. */
const MIN_FLUSHES = 3

/** A source is silent after so many usual intervals, and so many seconds more. */
const SILENT_AFTER = { intervals: 5, seconds: 10 }

/** A source as it is shown. Times are RFC 3339. */
export type SourceItem = {
  name: string
  flushes: number
  api_keys: { flushes: number; requests: Exact; success_requests: Exact }
  keys: { flushes: number; requests: Exact; tokens: Exact }
  last_flush: string
  /** Seconds: the median of the newest 20; null before the second flush. */
  usual_interval: number | null
  silent: boolean
  missing_flushes: number
  epochs: EpochItem[]
}

export type EpochItem = {
  epoch: string
  /** The number after the highest that has arrived. */
  next: number
  missing: Range[]
  last_flush: string
  ended: boolean
}

type SourceRow = Record<'source' | 'last_flush', string> &
  Record<'api_key_flushes' | 'api_key_requests' | 'api_key_successes', string> &
  Record<'key_flushes' | 'key_requests' | 'key_tokens', string> & {
    usual_interval: number | null
    is_silent: boolean
  }

type EpochRow = {
  source: string
  epoch: string
  next: string
  missing: Range[]
  last_flush: string
  is_ended: boolean
}

/** Reads a page of the sources in the order of their names. Throws CursorError. */
export async function readSources(
  sql: Sql,
  page: Pick<PageRequest, 'limit' | 'cursor'>,
): Promise<Page<SourceItem>> {
  const request = { ...page, sort: 'source', ended: true, search: null }
  const { cut } = toKeyset(sql, request, { source: 'text' }, 'source')
  const rows = await sql<SourceRow[]>`
    select ${sourceColumns(sql)} from sources s ${intervals(sql)} where ${cut}`
  const epochs = await readEpochs(
    sql,
    rows.map(({ source }) => source),
  )
  return toPage(
    rows,
    request,
    ({ source }) => [source, source],
    (row) => toItem(row, epochs),
  )
}

/** Reads one source; null if it has posted nothing. */
export async function readSource(sql: Sql, name: string): Promise<SourceItem | null> {
  const [row] = await sql<SourceRow[]>`
    select ${sourceColumns(sql)} from sources s ${intervals(sql)} where s.source = ${name}`
  return row ? toItem(row, await readEpochs(sql, [name])) : null
}

/** Counts the sources that are silent, and the flushes that are missing. */
export async function countTroubles(sql: Sql): Promise<{ silent: number; missing: number }> {
  const [row] = await sql<{ silent: number; missing: number }[]>`
    select
      (
        select count(*) from sources s ${intervals(sql)} where ${isSilent(sql)}
      )::float8 as silent,
      (
        select coalesce(sum((m.range ->> 1)::numeric - (m.range ->> 0)::numeric + 1), 0)
        from source_epochs e
          cross join json_array_elements(e.missing) as m(range)
      )::float8 as missing`
  return row!
}

/** Whether a source is silent, for how many seconds nothing came from it, and when it would be. */
export type Silence = { source: string; silent: boolean; seconds: number; expected: number }

/** Reads the silence of all sources, in the order of their names. */
export async function readSilences(sql: Sql): Promise<Silence[]> {
  return await sql<Silence[]>`
    select
      s.source, ${isSilent(sql)} as silent,
      extract(epoch from clock_timestamp() - s.recent[1])::float8 as seconds,
      (${SILENT_AFTER.intervals} * coalesce(i.usual, 0) + ${SILENT_AFTER.seconds})::float8
        as expected
    from sources s ${intervals(sql)}
    order by s.source`
}

/** The usual interval of `s`, in seconds. */
const intervals = (sql: Sql) => sql`
  cross join lateral (
    select percentile_cont(0.5) within group (order by extract(epoch from t.at - t.before))::float8
      as usual
    from (
      select t.at, lead(t.at) over (order by t.at desc) as before from unnest(s.recent) as t(at)
    ) t
    where t.before is not null
  ) i`

/** A revoked token is not expected to post. */
const isSilent = (sql: Sql) => sql`(
  not s.is_ended
  and not exists (select from tokens t where t.name = s.source and t.revoked_at is not null)
  and s.api_key_flushes + s.key_flushes >= ${MIN_FLUSHES}
  and clock_timestamp() > s.recent[1]
    + make_interval(secs => ${SILENT_AFTER.intervals} * i.usual + ${SILENT_AFTER.seconds})
)`

const sourceColumns = (sql: Sql) => sql`
  s.source, s.api_key_flushes, s.api_key_requests, s.api_key_successes,
  s.key_flushes, s.key_requests, s.key_tokens,
  ${sql.unsafe(toMicroseconds('s.recent[1]'))} as last_flush,
  i.usual as usual_interval,
  ${isSilent(sql)} as is_silent`

/** Reads the epochs of sources, those that were heard of last first. */
async function readEpochs(sql: Sql, sources: readonly string[]): Promise<EpochRow[]> {
  if (sources.length === 0) return []
  return sql<EpochRow[]>`
    select
      e.source, e.epoch, e.next, e.missing, e.is_ended,
      ${sql.unsafe(toMicroseconds('e.last_flush'))} as last_flush
    from source_epochs e
    where e.source in ${sql(sources)}
    order by e.source, e.last_flush desc, e.epoch desc`
}

function toItem(row: SourceRow, rows: readonly EpochRow[]): SourceItem {
  const epochs = rows
    .filter(({ source }) => source === row.source)
    .map(({ epoch, next, missing, last_flush, is_ended }) => ({
      ...{ epoch, next: Number(next), missing, last_flush, ended: is_ended },
    }))
  const [ofApiKeys, ofKeys] = [Number(row.api_key_flushes), Number(row.key_flushes)]
  return {
    name: row.source,
    flushes: ofApiKeys + ofKeys,
    api_keys: {
      flushes: ofApiKeys,
      requests: toExact(row.api_key_requests),
      success_requests: toExact(row.api_key_successes),
    },
    keys: {
      flushes: ofKeys,
      requests: toExact(row.key_requests),
      tokens: toExact(row.key_tokens),
    },
    last_flush: row.last_flush,
    usual_interval: row.usual_interval,
    silent: row.is_silent,
    missing_flushes: epochs
      .flatMap(({ missing }) => missing)
      .reduce((sum, [first, last]) => sum + last - first + 1, 0),
    epochs,
  }
}
