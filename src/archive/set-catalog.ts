import type { Transaction } from '../platform/postgres/pool.ts'

/** Sets the catalog of every shard to the change at this position of shard 0; -1 for none. */
export async function setCatalog(transaction: Transaction, position: number): Promise<void> {
  const [change] = await transaction<{ sha256: string }[]>`
    select encode(e.payload_sha256, 'hex') as sha256
    from events e
    where e.shard = 0 and e.position = ${position}`
  await transaction`
    update shards s
    set catalog_position = ${position}, catalog_sha256 = decode(${change?.sha256 ?? null}, 'hex')`
}
