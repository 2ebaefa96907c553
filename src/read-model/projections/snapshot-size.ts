import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { PAGE_ACCOUNTS } from './snapshot-pages.ts'

/** What an event costs to fold, besides its entries: as much as so many of them (0.06 µs each). */
export const EVENT_COST = 64

/** Estimates how many ids a shard's snapshot at a position has, by counting its pages. */
export async function readSnapshotSize(
  sql: Sql | Transaction,
  shard: number,
  generation: number,
  position: number,
): Promise<number> {
  const [row] = await sql<{ pages: number }[]>`
    select (
      select count(*)
      from api_key_snapshots s
      where s.shard = ${shard} and s.generation = ${generation} and s.position = ${position}
    )::integer + (
      select count(*)
      from key_snapshots s
      where s.shard = ${shard} and s.generation = ${generation} and s.position = ${position}
    )::integer as pages`
  // Both tables have an empty first page.
  return Math.max(row!.pages - 2, 0) * PAGE_ACCOUNTS
}
