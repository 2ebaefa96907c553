import { isAct } from '../events/act.ts'
import type { Transaction } from '../platform/postgres/pool.ts'

/** Positions in shard 0 of the last catalog change and the last act; -1 for none. */
export type LastEntries = { change: number; act: number }

/** Notes an event of shard 0 at a position. */
export function noteEntry(last: LastEntries, type: string, position: number): void {
  if (type === 'CatalogChanged') last.change = position
  else if (isAct(type)) last.act = position
}

/** Sets the catalog of every shard, and the newest act, which shard 0 has. */
export async function setLastEntries(
  transaction: Transaction,
  { change: position, act }: LastEntries,
): Promise<void> {
  const [change] = await transaction<{ sha256: string }[]>`
    select encode(e.payload_sha256, 'hex') as sha256
    from events e
    where e.shard = 0 and e.position = ${position}`
  await transaction`
    update shards s
    set catalog_position = ${position}, catalog_sha256 = decode(${change?.sha256 ?? null}, 'hex')`
  await transaction`update shards s set act_position = ${act} where s.shard = 0`
}
