import type { Sql, Transaction } from '../../../platform/postgres/pool.ts'
import { compareTable } from '../compare.ts'
import type { Problem } from '../problem.ts'
import type { Refold, RefoldTable, Target } from '../refold.ts'

const table = (
  name: string,
  id: { column: string; type: string },
  values: string[],
  fold: string,
): RefoldTable => ({
  name,
  columns: {
    [id.column]: id.type,
    quarter: 'timestamptz',
    ...Object.fromEntries(values.map((value) => [value, 'numeric'])),
  },
  key: [id.column, 'quarter'],
  isSharded: true,
  comparedWhere: `f.quarter >= (
    select coalesce(min(o.quarter), '-infinity') from refold_${name} o
  )`,
  fold: `
    insert into refold_${name} as r
    ${fold}
    on conflict (${id.column}, quarter) do update set
      ${values.map((value) => `${value} = r.${value} + excluded.${value}`).join(', ')}`,
})

/** What the counters count, by the quarter of an hour. */
export const usage: Refold = {
  projection: 'usage',
  version: 1,
  group: 'usage',
  tables: [
    table(
      'api_key_usage',
      { column: 'api_key_id', type: 'bigint' },
      ['requests', 'successes'],
      `select c.api_key_id, c.quarter, sum(c.requests), sum(c.successes)
      from chunk_api_keys c
      where c.group_id is not null and c.requests > 0
      group by c.api_key_id, c.quarter`,
    ),
    table(
      'provider_group_usage',
      { column: 'provider_group_id', type: 'bigint' },
      ['requests', 'successes'],
      `select c.group_id, c.quarter, sum(c.requests), sum(c.successes)
      from chunk_api_keys c
      where c.group_id > 0 and c.requests > 0
      group by c.group_id, c.quarter`,
    ),
    // An access alone is none.
    table(
      'key_usage',
      { column: 'token_hash', type: 'text' },
      ['requests', 'tokens', 'quota_used'],
      `select c.token_hash, c.quarter, sum(c.requests), sum(c.tokens), sum(c.quota_used)
      from chunk_keys c
      where c.requests > 0 or c.tokens > 0
      group by c.token_hash, c.quarter`,
    ),
  ],
  close: closeQuarterHours,
  compareClosed,
}

/**
 * Moves quarters that are over into tables without an index: time never runs backwards in a shard,
 * so no later event counts there.
 */
async function closeQuarterHours(sql: Transaction): Promise<void> {
  for (const { name } of usage.tables) {
    await sql.unsafe(
      `
      with closed as (
        delete from refold_${name} r
        where r.quarter < (select max(o.quarter) from refold_${name} o)
        returning r.*
      )
      insert into closed_${name} select * from closed`,
      [],
      { prepare: true },
    )
  }
}

/** In a statement a table, before the last snapshot is taken: closed quarters don't change. */
async function compareClosed(sql: Sql, target: Target): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const of of usage.tables) {
    const isClosed = `f.quarter < (select min(o.quarter) from refold_${of.name} o)`
    const closed = { ...of, comparedWhere: isClosed }
    problems.push(...(await compareTable(sql, closed, target, `closed_${of.name}`)))
  }
  return problems
}
