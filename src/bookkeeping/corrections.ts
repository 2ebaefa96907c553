import { parseLocation } from '../events/positions.ts'
import type { Fragment, Sql, Transaction } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import { type Page, type PageRequest, toKeyset, toPage } from '../read-model/queries/keyset-page.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'

/** An adjustment, or the reversal of an event. */
export type Correction = {
  position: string
  /** RFC 3339. */
  recorded_at: string
  /** The name of the token that corrected. */
  source: string
  reason: string
  /** The position of what it reversed, `0/41`; null for an adjustment. */
  reversed: string | null
}

type Row = Correction & { number: string }

export type CorrectionsRequest = Pick<PageRequest, 'limit' | 'sort' | 'cursor'> & {
  /** Only the reversal of the event at this position, such as `0/41`; null lists all. */
  reversed: string | null
}

/** Reads corrections, which are all in shard 0. Throws CursorError. */
export async function readCorrections(
  sql: Sql | Transaction,
  { reversed, ...request }: CorrectionsRequest,
): Promise<Page<Correction>> {
  const page: PageRequest = { ...request, ended: false, search: null }
  const { cut } = toKeyset(sql, page, { position: 'bigint' }, 'position')
  const rows = await sql<Row[]>`
    select
      '0/' || r.position as position, r.position as number,
      ${sql.unsafe(toMicroseconds('e.recorded_at'))} as recorded_at, e.source, r.reason,
      r.reversed_shard || '/' || r.reversed_position as reversed
    from (
      select *
      from (
        select t.position, t.reason, t.reversed_shard, t.reversed_position
        from acts t
        where t.generation = ${liveGeneration(sql, 'bookkeeping')}
          and t.type in ('TotalsAdjusted', 'EventReversed')
          and ${reversed === null ? sql`true` : isReversalOf(sql, reversed)}
      ) c
      where ${cut}
    ) r
      join events e on e.shard = 0 and e.position = r.position
    order by r.position ${page.sort.startsWith('-') ? sql`desc` : sql`asc`}`
  return toPage(
    rows,
    page,
    ({ number }) => [number, number],
    ({ number: _, ...correction }) => correction,
  )
}

function isReversalOf(sql: Sql | Transaction, place: string): Fragment {
  const { shard, position } = parseLocation(place)
  return sql`t.reversed_shard = ${shard} and t.reversed_position = ${position}`
}
