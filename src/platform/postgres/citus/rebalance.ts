import type { Sql } from '../pool.ts'

/** A worker. `takes` is false if it must have no shards, because it is about to be removed. */
export type Worker = { name: string; host: string; port: number; takes: boolean }

/** A slice (Citus calls it a shard): the unit of a move, and the shards of the log in it. */
export type Slice = { id: string; worker: string; shards: number[] }

/** The move of one slice from one worker to another. */
export type Move = { slice: Slice; from: Worker; to: Worker }

/** Returns the workers of this cluster, and the slices with the worker of each. */
export async function readLayout(sql: Sql): Promise<{ workers: Worker[]; slices: Slice[] }> {
  const [{ shards } = { shards: 0 }] = await sql<{ shards: number }[]>`
    select count(*)::integer as shards from shards`
  const workers = await sql<Worker[]>`
    select concat(n.nodename, ':', n.nodeport) as name, n.nodename as host, n.nodeport as port,
      n.shouldhaveshards as takes
    from pg_dist_node n
    where n.isactive and n.noderole = 'primary'
    order by n.nodeid`
  const slices = await sql<Slice[]>`
    with held as (
      select s.shard, get_shard_id_for_distribution_column('shards', s.shard::integer) as id
      from generate_series(0, ${shards}::integer - 1) as s(shard)
    )
    select p.shardid::text as id, concat(p.nodename, ':', p.nodeport) as worker,
      coalesce((select json_agg(h.shard order by h.shard) from held h where h.id = p.shardid), '[]')
        as shards
    from pg_dist_shard_placement p
      join pg_dist_shard d on d.shardid = p.shardid
    where d.logicalrelid = 'shards'::regclass
    order by p.shardid`
  return { workers: [...workers], slices: [...slices] }
}

/**
 * Plans the moves after which all workers that take shards have as equal a number of them as the
 * slices allow, and the other workers have no slices, not even empty ones. Plans few moves: each
 * goes from a worker with too many shards to the one with the fewest. Balances shards rather than
 * rows, because every shard receives the same rate of flushes.
 */
export function planMoves(workers: readonly Worker[], slices: readonly Slice[]): Move[] {
  const held = new Map(workers.map(({ name }) => [name, slicesOf(slices, name)]))
  const takers = workers.filter(({ takes }) => takes)
  const moves: Move[] = []
  const move = (slice: Slice, from: Worker, to: Worker) => {
    moves.push({ slice, from, to })
    held.set(
      from.name,
      held.get(from.name)!.filter((other) => other !== slice),
    )
    held.get(to.name)!.push(slice)
  }
  const loadOf = ({ name }: Worker) => countShards(held.get(name)!)
  /** Sorted by shards, then by slices. */
  const sorted = () =>
    takers.toSorted(
      (a, b) => loadOf(a) - loadOf(b) || held.get(a.name)!.length - held.get(b.name)!.length,
    )
  if (takers.length === 0) return []
  for (const from of workers.filter(({ takes }) => !takes)) {
    // Heaviest first, so that the light ones can even out the rest.
    for (const slice of held.get(from.name)!.toSorted(byWeight)) move(slice, from, sorted()[0]!)
  }
  for (;;) {
    const [to, ...others] = sorted()
    const next = others
      .toReversed()
      .map((from) => ({ from, slice: findSlice(held.get(from.name)!, loadOf(from) - loadOf(to!)) }))
      .find(({ slice }) => slice !== undefined)
    if (next === undefined) return moves
    move(next.slice!, next.from, to!)
  }
}

/** Returns the heaviest slice whose move reduces the difference between two workers. */
function findSlice(slices: readonly Slice[], difference: number): Slice | undefined {
  return slices
    .toSorted(byWeight)
    .find(({ shards }) => shards.length > 0 && shards.length < difference)
}

/** Moves one slice. It stays readable and writable during the move. */
export async function moveSlice(sql: Sql, { slice, from, to }: Move): Promise<void> {
  await sql`
    select citus_move_shard_placement(
      ${slice.id}::bigint, ${from.host}, ${from.port}::integer, ${to.host}, ${to.port}::integer
    )`
}

/** Copies reference tables to new nodes, which can't take shards without them. */
export async function completeNodes(sql: Sql): Promise<void> {
  await sql`select replicate_reference_tables()`
}

const slicesOf = (slices: readonly Slice[], name: string) =>
  slices.filter(({ worker }) => worker === name)

const countShards = (slices: readonly Slice[]) =>
  slices.reduce((sum, { shards }) => sum + shards.length, 0)

const byWeight = (a: Slice, b: Slice) => b.shards.length - a.shards.length
