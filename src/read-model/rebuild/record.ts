import type { Sql, Transaction } from '../../platform/postgres/pool.ts'

/**
 * What a rebuild is at: folding the log, comparing what it has made with what readers see, live (it
 * is what they see now), or failed.
 */
export type RebuildState = 'folding' | 'comparing' | 'live' | 'failed'

/** Milliseconds without a sign of life after which a rebuild is taken for killed. */
const SILENCE_MS = 30_000

/** A rebuild, under way or ended. */
export type RebuildRecord = {
  projection: string
  generation: number
  /** `killed`: its process is gone; the next rebuild, or start, cleans up. */
  state: RebuildState | 'killed'
  /** RFC 3339. */
  startedAt: string
  finishedAt: string | null
  eventsFolded: number
  /** Events in the log when it looked last. */
  eventsTotal: number
  /** Rows that differed from those readers saw; null where they weren't compared. */
  driftedRows: number | null
  /** The first of them. */
  drift: Drift[]
  error: string | null
}

/** Columns as PostgreSQL prints them. */
export type DriftedRow = Record<string, string | null>

/** A row that was not what the log says; null where there was none, or should be none. */
export type Drift = {
  table: string
  key: DriftedRow
  live: DriftedRow | null
  rebuilt: DriftedRow | null
}

/** The newest rebuild of each projection that ever had one. */
export async function readRebuilds(sql: Sql): Promise<RebuildRecord[]> {
  const rows = await sql<RebuildRow[]>`
    select distinct on (r.projection)
      r.projection, r.generation, r.state, r.events_folded, r.events_total, r.drifted_rows,
      r.drift::text as drift, r.error,
      ${isSilent(sql)} as silent,
      to_char(r.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') as started_at,
      to_char(r.finished_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
        as finished_at
    from rebuilds r
    order by r.projection, r.generation desc`
  return rows.map((row) => ({
    projection: row.projection,
    generation: row.generation,
    state: row.silent ? 'killed' : row.state,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    eventsFolded: Number(row.events_folded),
    eventsTotal: Number(row.events_total),
    driftedRows: row.drifted_rows === null ? null : Number(row.drifted_rows),
    drift: row.drift === null ? [] : (JSON.parse(row.drift) as Drift[]),
    error: row.error,
  }))
}

/** The projections that a process is rebuilding now. */
export async function readRebuilding(sql: Sql | Transaction): Promise<string[]> {
  const rows = await sql<{ projection: string }[]>`
    select r.projection
    from rebuilds r
    where r.finished_at is null and not ${isSilent(sql)}`
  return rows.map(({ projection }) => projection)
}

/** Condition on rebuilds `r`: under way, but nothing was heard of it for long. */
const isSilent = (sql: Sql | Transaction) => sql`
  (r.finished_at is null and r.seen_at < statement_timestamp() - ${SILENCE_MS} * interval '1 ms')`

/**
 * Ends the rebuilds that nothing is heard of. One statement: one that begins between two would be
 * taken for dead.
 */
export async function failSilent(sql: Sql): Promise<void> {
  await sql`
    update rebuilds r
    set state = 'failed', finished_at = statement_timestamp(), error = 'it was killed'
    where ${isSilent(sql)}`
}

/** Tells that the rebuilds of a process are alive, and how far they are. */
export async function noteProgress(
  sql: Sql,
  rebuilds: readonly { projection: string; generation: number }[],
  progress: { state: RebuildState; eventsFolded: number; eventsTotal: number },
): Promise<void> {
  for (const { projection, generation } of rebuilds) {
    await sql`
      update rebuilds r
      set state = ${progress.state}, seen_at = statement_timestamp(),
        events_folded = ${progress.eventsFolded}, events_total = ${progress.eventsTotal}
      where r.projection = ${projection} and r.generation = ${generation}
        and r.finished_at is null`
  }
}

/** Writes down what a comparison found: how many rows, and the first of them. */
export async function noteDrift(
  sql: Sql,
  projection: string,
  generation: number,
  { rows, first }: { rows: number; first: Drift[] },
): Promise<void> {
  await sql`
    update rebuilds r
    set drifted_rows = ${rows}, drift = ${JSON.stringify(first)}::text::json
    where r.projection = ${projection} and r.generation = ${generation}`
}

type RebuildRow = {
  projection: string
  generation: number
  state: RebuildState
  silent: boolean
  started_at: string
  finished_at: string | null
  events_folded: string
  events_total: string
  drifted_rows: string | null
  drift: string | null
  error: string | null
}
