import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
import type { Chunk } from './chunk.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/**
 * Checks every event of a chunk by itself and against the one before it: the payload's hash, the
 * leaf in the tiles, the position, the time. The leaf is computed independently of `leaf_hash`.
 * `previousAt` is when the event before the chunk was recorded, if that is not where `sql` reads.
 */
export async function checkEvents(
  sql: Sql | Transaction,
  chunk: Chunk,
  { previousAt, prepare }: { previousAt: string | null; prepare: boolean },
): Promise<Problem[]> {
  const { shard, after, through } = chunk
  const values = [shard, after, through, MAX_PROBLEMS, previousAt]
  const rows = await sql.unsafe<EventRow[]>(EVENTS, values, { prepare })
  return rows.flatMap((row) => toProblems(shard, row))
}

type EventRow = {
  position: string
  payload_sha256: string
  payload_hash: string
  leaf: string
  stored_leaf: string | null
  recorded_at: string
  recorded_before: string | null
  expected_position: string
}

const EVENTS = `
  select
    e.position, encode(e.payload_sha256, 'hex') as payload_sha256,
    encode(e.payload_hash, 'hex') as payload_hash,
    encode(e.leaf, 'hex') as leaf, encode(t.leaf, 'hex') as stored_leaf,
    e.recorded_at::text as recorded_at, e.recorded_before::text as recorded_before,
    e.expected_position
  from (
    select
      e.position, e.recorded_at, e.payload_sha256,
      sha256(convert_to(e.payload::text, 'UTF8')) as payload_hash,
      sha256('\\x00'::bytea || convert_to(row_to_json((
        select l from (
          select
            e.shard, e.position, e.type, e.version,
            ${toMicroseconds('e.recorded_at')}
              as recorded_at,
            e.source, e.idempotency_key, encode(e.payload_sha256, 'hex') as payload_sha256
        ) l
      ))::text, 'UTF8')) as leaf,
      lag(e.recorded_at, 1, $5::timestamptz) over w as recorded_before,
      coalesce(
        lag(e.position, 1, case when $5::text is not null then $2::bigint end) over w + 1, 0
      ) as expected_position
    from events e
    where e.shard = $1 and e.position <= $3
      -- Starts at the last event before the chunk, wherever that is.
      and e.position >= coalesce(
        case
          when $5::text is null
            then (select max(b.position) from events b where b.shard = $1 and b.position <= $2)
          else $2::bigint + 1
        end,
        0
      )
    window w as (order by e.position)
  ) e
    left join (
      select
        t.number * 256 + i as position,
        substring(t.hashes from 1 + 32 * i for 32) as leaf
      from (
        -- Appending '' fetches the whole tile once instead of once per leaf.
        select t.number, t.hashes || '' as hashes
        from tiles t
        where t.shard = $1 and t.level = 0
          and t.number >= greatest($2, 0) / 256 and t.number <= $3 / 256
        offset 0
      ) t
        cross join generate_series(0, octet_length(t.hashes) / 32 - 1) i
    ) t on t.position = e.position
  where e.position > $2
    and (
      e.payload_hash <> e.payload_sha256
      or e.leaf <> t.leaf
      or e.recorded_at < e.recorded_before
      or e.position <> e.expected_position
    )
  order by e.position
  limit $4`

function toProblems(shard: number, row: EventRow): Problem[] {
  const at = `${shard}/${row.position}`
  const problems: Problem[] = []
  if (row.payload_hash !== row.payload_sha256) {
    problems.push({
      check: 'payload',
      at,
      expected: `payload_sha256 ${row.payload_hash}`,
      found: row.payload_sha256,
    })
  }
  if (row.stored_leaf !== null && row.leaf !== row.stored_leaf) {
    problems.push({ check: 'leaf', at, expected: row.stored_leaf, found: row.leaf })
  }
  if (
    row.recorded_before !== null &&
    Date.parse(row.recorded_at) < Date.parse(row.recorded_before)
  ) {
    problems.push({
      check: 'time',
      at,
      expected: `recorded at ${row.recorded_before} or later`,
      found: row.recorded_at,
    })
  }
  if (row.position !== row.expected_position) {
    problems.push({
      check: 'position',
      at: `${shard}/${row.expected_position}`,
      expected: `an event at ${row.expected_position}`,
      found: `the next is ${row.position}`,
    })
  }
  return problems
}
