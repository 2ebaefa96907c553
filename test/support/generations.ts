import { expect } from 'bun:test'
import type { Sql } from '../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../src/read-model/projections/index.ts'
import type { TestService } from './service.ts'

const TABLES = PROJECTIONS.flatMap(({ tables }) => tables)

/** Returns every row of the live generations: what readers see. */
export async function readLive(
  service: TestService,
  owner: Sql,
): Promise<Record<string, unknown[]>> {
  // These reads wait until everything is folded.
  await service.read('/admin/usage')
  await service.read('/admin/apikey-stats/summary')
  const rows: Record<string, unknown[]> = {}
  for (const { name, tables } of PROJECTIONS) {
    for (const { name: table } of tables) {
      const found = await owner.unsafe<{ row: string }[]>(
        `select (to_jsonb(t) - 'generation')::text as row from ${table} t
         where t.generation = (select generation from projections where projection = '${name}')`,
      )
      rows[table] = found.map(({ row }) => row).sort()
    }
  }
  return rows
}

/** Returns the generations that have rows, partitions or checkpoints, by table. */
async function readGenerations(owner: Sql): Promise<Record<string, number[]>> {
  const generations: Record<string, number[]> = {}
  for (const { name, fillfactor } of TABLES) {
    const rows =
      fillfactor === null
        ? await owner<{ generation: number }[]>`
            select distinct t.generation from ${owner(name)} t order by 1`
        : await owner<{ generation: number }[]>`
            select substring(i.inhrelid::regclass::text from '[0-9]+$')::integer as generation
            from pg_inherits i where i.inhparent = ${name}::regclass order by 1`
    generations[name] = rows.map(({ generation }) => generation)
  }
  const checkpoints = await owner<{ projection: string; generations: number[] }[]>`
    select projection, array_agg(distinct generation) as generations from checkpoints group by 1`
  for (const row of checkpoints) generations[`of ${row.projection}`] = row.generations
  return generations
}

/** Returns the live generation of each projection. */
export async function readLiveGenerations(owner: Sql): Promise<Record<string, number>> {
  const rows = await owner<{ projection: string; generation: number }[]>`
    select projection, generation from projections`
  return Object.fromEntries(rows.map(({ projection, generation }) => [projection, generation]))
}

/** Expects that nothing exists except the live generations. */
export async function expectTidy(owner: Sql): Promise<void> {
  const live = await readLiveGenerations(owner)
  const found = await readGenerations(owner)
  for (const { name, tables } of PROJECTIONS) {
    for (const { name: table, fillfactor } of tables) {
      // In a shared table a generation without rows can't be seen.
      const none = fillfactor === null && found[table]!.length === 0
      expect([table, found[table]]).toEqual([table, none ? [] : [live[name]!]])
    }
    expect(found[`of ${name}`]).toEqual([live[name]!])
  }
}

/** True if `expectTidy` would pass. */
export const isTidy = (owner: Sql): Promise<boolean> =>
  expectTidy(owner).then(
    () => true,
    () => false,
  )
