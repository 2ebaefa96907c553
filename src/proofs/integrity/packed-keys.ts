import type { Sql } from '../../platform/postgres/pool.ts'
import { SLOTS } from './idempotency.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/**
 * Checks that `packed_keys` has the key of every event that the segments state as packed, among
 * those that the walk has recorded up to the heads, in the row where it is looked up, and no other.
 */
export async function checkPackedKeys(
  sql: Sql,
  heads: readonly { shard: number; head: number }[],
): Promise<Problem[]> {
  const problems: Problem[] = []
  for (let slot = 0; slot < SLOTS && problems.length < MAX_PROBLEMS; slot++) {
    const rows = await sql.unsafe<{ at: string; expected: string; found: string }[]>(
      COMPARISON,
      [slot, SLOTS, JSON.stringify(heads), MAX_PROBLEMS],
      { prepare: true },
    )
    problems.push(...rows.map((row) => ({ check: 'idempotency' as const, ...row })))
  }
  return problems
}

/**
 * A slot has the rows that begin in it, whose entries have to be in their range, and the keys of
 * consecutive hashes: those of its rows and some of the row before.
 */
const COMPARISON = `
  with heads as (
    select h.shard, h.head from json_to_recordset($3::text::json) as h(shard integer, head bigint)
  ), slot as (
    select
      set_byte(decode(repeat('00', 8), 'hex'), 0, $1::integer * 256 / $2::integer) as first,
      set_byte(decode(repeat('ff', 8), 'hex'), 0, ($1::integer + 1) * 256 / $2::integer - 1)
        as last
  ), rows as (
    select k.shard, k.first, k.entries,
      lead(k.first) over (partition by k.shard order by k.first) as next
    from packed_keys k
  ), found as (
    select r.shard, r.first, u.hash, u.position
    from slot s
      join rows r on r.first <= s.last and (r.next is null or r.next > s.first)
      cross join lateral unpack_keys(r.entries) u
    where get_byte(u.hash, 0) / (256 / $2::integer) = $1::integer
  ), expected as (
    select i.shard, i.hash, i.position
    from idempotency_hashes i
      join segments g on g.shard = i.shard
        and i.position between g.first_position and g.packed_through
    where i.slot = $1::integer
  )
  select
    concat('packed_keys ', r.shard, '/', encode(r.first, 'hex')) as at,
    'keys whose hashes are in the range of the row' as expected,
    concat('a key of ', r.shard, '/', u.position) as found
  from rows r
    cross join lateral unpack_keys(r.entries) u
  where get_byte(r.first, 0) / (256 / $2::integer) = $1::integer
    and (u.hash < r.first or u.hash >= r.next)
  union all
  select
    case
      when f.first is null then concat(e.shard, '/', e.position)
      else concat('packed_keys ', f.shard, '/', encode(f.first, 'hex'))
    end,
    case
      when f.first is null then 'its idempotency key among the packed keys'
      else 'no key that is not in the log'
    end,
    case
      when f.first is null then 'none'
      else concat('a key of ', f.shard, '/', f.position)
    end
  from expected e
    full join found f
      on f.shard = e.shard and f.hash = e.hash and f.position = e.position
    left join heads h on h.shard = f.shard
  where f.first is null
    or (e.hash is null and f.position <= coalesce(h.head, f.position))
  order by 1
  limit $4::integer`
