import type { Sql } from '../pool.ts'

/** A worker, and whether shards are to be on it: not where it is about to be taken away. */
export type Worker = { name: string; host: string; port: number; takes: boolean }

/** A slice (Citus' own word is shard): what is moved as one, and the shards of the log in it. */
export type Slice = { id: string; worker: string; shards: number[] }

/** One slice, from one worker to another. */
export type Move = { slice: Slice; from: Worker; to: Worker }

/** The workers of this cluster, and where the slices are. */
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
 * The moves after which every worker has as many shards as any other, as far as slices can be dealt
 * so, and those that are to have none have not even an empty slice. As few as do: a worker that has
 * more than it should gives to the one that has least. Shards count, rather than their rows: each
 * takes as many flushes as any other.
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
  /** By shards, then by slices. */
  const sorted = () =>
    takers.toSorted(
      (a, b) => loadOf(a) - loadOf(b) || held.get(a.name)!.length - held.get(b.name)!.length,
    )
  if (takers.length === 0) return []
  for (const from of workers.filter(({ takes }) => !takes)) {
    // The heaviest first, so that the light ones even out.
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

/** The heaviest that, moved, evens two workers out that differ by so many shards. */
function findSlice(slices: readonly Slice[], difference: number): Slice | undefined {
  return slices
    .toSorted(byWeight)
    .find(({ shards }) => shards.length > 0 && shards.length < difference)
}

/** Moves one slice, under load; it is written and read meanwhile. */
export async function moveSlice(sql: Sql, { slice, from, to }: Move): Promise<void> {
  await sql`
    select citus_move_shard_placement(
      ${slice.id}::bigint, ${from.host}, ${from.port}::integer, ${to.host}, ${to.port}::integer
    )`
}

/** Has the tables that are on every node on new ones, too: without them no shard can go there. */
export async function completeNodes(sql: Sql): Promise<void> {
  await sql`select replicate_reference_tables()`
}

const slicesOf = (slices: readonly Slice[], name: string) =>
  slices.filter(({ worker }) => worker === name)

const countShards = (slices: readonly Slice[]) =>
  slices.reduce((sum, { shards }) => sum + shards.length, 0)

const byWeight = (a: Slice, b: Slice) => b.shards.length - a.shards.length
