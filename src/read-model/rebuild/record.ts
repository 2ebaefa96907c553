import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'

/**
 * The state of a rebuild: folding the log, comparing the result with the live generation, live
 * (readers see it), or failed.
 */
export type RebuildState = 'folding' | 'comparing' | 'live' | 'failed'

/** Milliseconds without a heartbeat after which a rebuild counts as killed. */
const SILENCE_MS = 30_000

/** A rebuild, in progress or finished. */
export type RebuildRecord = {
  projection: string
  generation: number
  /** `killed`: its process is gone; the next rebuild or start cleans up. */
  state: RebuildState | 'killed'
  /** RFC 3339. */
  startedAt: string
  finishedAt: string | null
  eventsFolded: number
  /** Events in the log, as of the rebuild's last heartbeat. */
  eventsTotal: number
  /** Number of rows that differed from the live generation; null if they were not compared. */
  driftedRows: number | null
  /** The first of these rows. */
  drift: Drift[]
  error: string | null
}

/** Columns as PostgreSQL formats them. */
export type DriftedRow = Record<string, string | null>

/** A row that did not match the log; null if it was missing on that side. */
export type Drift = {
  table: string
  key: DriftedRow
  live: DriftedRow | null
  rebuilt: DriftedRow | null
}

/** Reads the newest rebuild of each projection that had one. */
export async function readRebuilds(sql: Sql): Promise<RebuildRecord[]> {
  const rows = await sql<RebuildRow[]>`
    select distinct on (r.projection)
      r.projection, r.generation, r.state, r.events_folded, r.events_total, r.drifted_rows,
      r.drift::text as drift, r.error,
      ${isSilent(sql)} as silent,
      ${sql.unsafe(toMicroseconds('r.started_at'))} as started_at,
      ${sql.unsafe(toMicroseconds('r.finished_at'))}
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

/** Reads the names of the projections that are being rebuilt now. */
export async function readRebuilding(sql: Sql | Transaction): Promise<string[]> {
  const rows = await sql<{ projection: string }[]>`
    select r.projection
    from rebuilds r
    where r.finished_at is null and not ${isSilent(sql)}`
  return rows.map(({ projection }) => projection)
}

/** Condition on rebuilds `r`: in progress, but without a recent heartbeat. */
const isSilent = (sql: Sql | Transaction) => sql`
  (r.finished_at is null and r.seen_at < statement_timestamp() - ${SILENCE_MS} * interval '1 ms')`

/**
 * Marks rebuilds without a recent heartbeat as failed. A single statement: a rebuild that starts
 * between two would count as killed.
 */
export async function failSilent(sql: Sql): Promise<void> {
  await sql`
    update rebuilds r
    set state = 'failed', finished_at = statement_timestamp(), error = 'it was killed'
    where ${isSilent(sql)}`
}

/** Writes a heartbeat for the rebuilds of a process, with their progress. */
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

/** Records the result of a comparison: the number of differing rows, and the first of them. */
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
