import { isUnavailable } from '../errors.ts'
import { type Sql, transact } from '../pool.ts'
import { readPlacement } from './distribute.ts'

/** How long a node may take to answer, as a PostgreSQL setting. */
const ANSWER_WITHIN = '1s'

/** If the database answers, and each of its shards: on Citus the shards of one node may not. */
export type Answering = { isUp: boolean; shards: boolean[] }

/**
 * Checks which shards can be read, within a second or two whatever a node does. Needs one statement
 * while all shards answer, otherwise one more per node.
 */
export async function findAnswering(sql: Sql, shards: number): Promise<Answering> {
  if (await answers(sql, (own) => own`select from shards`)) {
    return { isUp: true, shards: new Array<boolean>(shards).fill(true) }
  }
  const answering = { isUp: false, shards: new Array<boolean>(shards).fill(false) }
  try {
    const isDistributed = (await readPlacement(sql)) === 'distributed'
    answering.isUp = true
    const nodes = isDistributed ? await readShardsByNode(sql, shards) : []
    await Promise.all(
      nodes.map(async (own) => {
        const answersInTime = await answers(
          sql,
          (t) => t`select from shards where shard = ${own[0]!}`,
        )
        for (const shard of own) answering.shards[shard] = answersInTime
      }),
    )
  } catch (error) {
    if (!isUnavailable(error)) throw error
  }
  return answering
}

/** Returns the shards of each node, from the coordinator's metadata alone. */
async function readShardsByNode(sql: Sql, shards: number): Promise<number[][]> {
  const rows = await sql<{ shards: number[] }[]>`
    select json_agg(n.shard) as shards
    from (
      select s.shard, get_shard_id_for_distribution_column('shards', s.shard::integer) as id
      from generate_series(0, ${shards}::integer - 1) as s(shard)
    ) n
      join pg_dist_shard_placement p on p.shardid = n.id
    group by p.nodename, p.nodeport`
  return rows.map((row) => row.shards)
}

/** True if a read is answered in time. */
async function answers(
  sql: Sql,
  read: (sql: Parameters<Parameters<typeof transact>[2]>[0]) => Promise<unknown>,
): Promise<boolean> {
  try {
    await transact(sql, 'read only', async (transaction) => {
      await Promise.all([
        transaction.unsafe(`set local statement_timeout = '${ANSWER_WITHIN}'`),
        read(transaction),
      ])
    })
    return true
  } catch (error) {
    if (isUnavailable(error)) return false
    throw error
  }
}
