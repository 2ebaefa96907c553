import { readPositionAt } from '../log/position-at.ts'
import type { Sql } from '../platform/postgres/pool.ts'

/** The source of a change by which the service registered keys: this, and the token's name. */
export const SOURCE_PREFIX = 'register:'

/** The number of keys that were registered on the current day, and for how long that day lasts. */
export type Registered = {
  keys: number
  /** The newest change of the catalog that was counted: its position and SHA-256, -1 if none. */
  position: number
  sha256: string | null
  msLeft: number
}

/** Keys of a day counted through a position; `sha256` is null if the day begins after it. */
type Counted = { day: string; keys: number; position: number; sha256: string | null }

/**
 * Counts in the log the keys that the service has registered on the current day, in UTC: the day
 * with which the database would record an event now. Whatever instance registered them, and
 * whether its change was confirmed or not, they are counted.
 */
export class RegisteredToday {
  /** The last count, to which only newer changes have to be added. */
  #counted: Counted | null = null

  constructor(private readonly sql: Sql) {}

  /** Counts through the newest change of the catalog. */
  async read(): Promise<Registered> {
    for (let counted = this.#counted; ; ) {
      const row = await this.#readAfter(counted)
      const { day, position, sha256, msLeft } = row
      if (counted !== null && day === counted.day && row.isSame) {
        const keys = counted.keys + row.keys
        this.#counted = { day, keys, position, sha256 }
        return { keys, position, sha256, msLeft }
      }
      // Another day has begun, or the database has lost changes that were counted.
      const first = await readPositionAt(this.sql, 0, `${day}T00:00:00Z`)
      counted = { day, keys: 0, position: first - 1, sha256: null }
    }
  }

  /**
   * Counts the keys of changes after those that are counted. `isSame` is false if the log has
   * another event at that position, or an event of the day at or before the one where it begins.
   */
  async #readAfter(counted: Counted | null) {
    const { sql } = this
    const { position = Number.MAX_SAFE_INTEGER, sha256 = null } = counted ?? {}
    const [row] = await sql<Row[]>`
      select
        to_char(t.day, 'YYYY-MM-DD') as day,
        extract(epoch from t.day + interval '1 day' - t.at)::float8 * 1000 as ms_left,
        t.position,
        (
          select encode(e.payload_sha256, 'hex')
          from events e
          where e.shard = 0 and e.position = t.position
        ) as sha256,
        ${position}::bigint = -1 or exists (
          select from events e
          where e.shard = 0
            and e.position = ${position}::bigint
            and case
              when ${sha256}::text is null then e.recorded_at < t.day at time zone 'UTC'
              else e.payload_sha256 = decode(${sha256}::text, 'hex')
            end
        ) as is_same,
        (
          select coalesce(sum(
            coalesce(json_array_length(e.payload -> 'upserted' -> 'api_keys'), 0)
              + coalesce(json_array_length(e.payload -> 'upserted' -> 'keys'), 0)
          ), 0)
          from events e
          where e.shard = 0
            and e.type = 'CatalogChanged'
            and e.position > ${position}::bigint
            and e.position <= t.position
            and e.recorded_at >= t.day at time zone 'UTC'
            and starts_with(e.source, ${SOURCE_PREFIX})
        ) as keys
      from (
        select n.position, n.at, date_trunc('day', n.at) as day
        from (
          select
            s.catalog_position as position,
            greatest(
              clock_timestamp(),
              s.not_before,
              (
                select e.recorded_at
                from events e
                where e.shard = 0
                order by e.position desc
                limit 1
              )
            ) at time zone 'UTC' as at
          from shards s
          where s.shard = 0
          offset 0
        ) n
      ) t`
    return {
      day: row!.day,
      msLeft: row!.ms_left,
      position: Number(row!.position),
      sha256: row!.sha256,
      isSame: row!.is_same,
      keys: Number(row!.keys),
    }
  }
}

type Row = {
  day: string
  ms_left: number
  position: string
  sha256: string | null
  is_same: boolean
  keys: string
}
