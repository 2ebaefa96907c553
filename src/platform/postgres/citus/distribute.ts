import { UserError } from '../../user-error.ts'
import { PINNED } from '../connection/setup.ts'
import { SCHEMA, SERVICE_ROLE, type Sql, type Transaction } from '../pool.ts'
import { chooseSliceCount } from './slice-count.ts'
import { DELEGATED_FUNCTIONS, DISTRIBUTED_TABLES, REFERENCE_TABLES } from './tables.ts'

/** An arbitrary number: the advisory lock that serializes concurrent calls of `distribute`. */
const DISTRIBUTION_LOCK = 7_365_003

/** `alone`: Citus is installed, but all tables are on this node. */
export type Placement = 'no citus' | 'alone' | 'distributed'

/** Returns where the tables of this database are. */
export async function readPlacement(sql: Sql | Transaction): Promise<Placement> {
  const [row] = await sql<{ citus: boolean }[]>`
    select exists (select from pg_extension where extname = 'citus') as citus`
  if (!row!.citus) return 'no citus'
  return (await readPlaced(sql)).has(DISTRIBUTED_TABLES[0]) ? 'distributed' : 'alone'
}

/**
 * Throws UserError if this is a worker of a Citus cluster, which has the whole schema but only some
 * of the rows.
 */
export async function refuseWorker(sql: Sql): Promise<void> {
  if ((await readPlacement(sql)) === 'no citus') return
  const [row] = await sql<{ group: number }[]>`
    select l.groupid as group from pg_dist_local_group l`
  if (row!.group === 0) return
  throw new UserError(
    'DATABASE_URL names a worker of a Citus cluster: connect to the coordinator instead.',
  )
}

/** True if Citus is installed and has workers. */
export async function canDistribute(owner: Sql): Promise<boolean> {
  return (await readPlacement(owner)) !== 'no citus' && (await countWorkers(owner)) > 0
}

/**
 * Distributes the tables over Citus' workers, and delegates functions to the node of their shard.
 * Does only what is missing, so after a crash or failure the next call continues. No service may
 * append during the call.
 *
 * Each statement is its own transaction, as Citus requires. Throws UserError if there are no
 * workers.
 */
export async function distribute(owner: Sql, shards: number): Promise<void> {
  await refuseSegments(owner)
  await owner`select pg_advisory_lock(${DISTRIBUTION_LOCK}::bigint)`
  try {
    await prepareRole(owner)
    const placed = await readPlaced(owner)
    await setUp(owner, shards, placed.has(DISTRIBUTED_TABLES[0]))
    for (const table of DISTRIBUTED_TABLES) {
      if (placed.has(table)) continue
      const colocateWith = table === DISTRIBUTED_TABLES[0] ? 'none' : DISTRIBUTED_TABLES[0]
      await owner`
        select create_distributed_table(${table}, 'shard', colocate_with => ${colocateWith})`
    }
    for (const table of REFERENCE_TABLES) {
      if (!placed.has(table)) await owner`select create_reference_table(${table})`
    }
    await grantTiles(owner)
    await delegateFunctions(owner)
  } finally {
    await owner`select pg_advisory_unlock(${DISTRIBUTION_LOCK}::bigint)`
  }
}

/** Throws UserError if the log is in segments: Citus distributes no partitions of partitions. */
async function refuseSegments(owner: Sql): Promise<void> {
  const [row] = await owner<{ in_segments: boolean }[]>`
    select is_partitioned('events') as in_segments`
  if (!row!.in_segments) return
  throw new UserError(
    'This database was created without Citus, so its log consists of segments, which Citus ' +
      "can't distribute. Export the log, and import it into a new database in which the " +
      'extension was created first (docs/guides/citus.md).',
  )
}

/** Distributes what a migration has added, if the database is distributed. */
export async function completeDistribution(owner: Sql, shards: number): Promise<void> {
  if ((await readPlacement(owner)) !== 'distributed') return
  const placed = await readPlaced(owner)
  const delegated = await readDelegated(owner)
  const isComplete =
    [...DISTRIBUTED_TABLES, ...REFERENCE_TABLES].every((table) => placed.has(table)) &&
    DELEGATED_FUNCTIONS.every((name) => delegated.has(name))
  if (!isComplete) await distribute(owner, shards)
  else if (!(await isRolePrepared(owner))) {
    await prepareRole(owner)
    await grantTiles(owner)
  }
}

/** Returns the shards of each worker. Omits workers without shards. */
export async function readNodes(sql: Sql): Promise<{ node: string; shards: string }[]> {
  return sql<{ node: string; shards: string }[]>`
    select
      concat(p.nodename, ':', p.nodeport) as node,
      string_agg(n.shard::text, ', ' order by n.shard) as shards
    from (
      select s.shard, get_shard_id_for_distribution_column('shards', s.shard) as id from shards s
    ) n
      join pg_dist_shard_placement p on p.shardid = n.id
    group by 1
    order by 1`
}

/** Throws UserError if another Tallybook process is connected: none may run during a move. */
export async function refuseWhileInUse(owner: Sql): Promise<void> {
  const [row] = await owner<{ others: number }[]>`
    select count(*)::integer as others
    from pg_stat_activity a
    where a.datname = current_database() and a.application_name like 'tallybook%'
      and a.pid <> pg_backend_pid()`
  if (row!.others === 0) return
  throw new UserError(
    'Another Tallybook process is using this database: stop the services on it, and try again.',
  )
}

/** Returns the tables of the schema that Citus manages. */
async function readPlaced(sql: Sql | Transaction): Promise<Set<string>> {
  const rows = await sql<{ name: string }[]>`
    select c.relname as name
    from pg_dist_partition p
      join pg_class c on c.oid = p.logicalrelid
    where c.relnamespace = to_regnamespace(${SCHEMA})`
  return new Set(rows.map(({ name }) => name))
}

/** Returns the functions of the schema that run on workers. */
async function readDelegated(sql: Sql): Promise<Set<string>> {
  const rows = await sql<{ name: string }[]>`
    select p.proname as name
    from pg_dist_object o
      join pg_proc p on o.classid = 'pg_proc'::regclass and o.objid = p.oid
    where p.pronamespace = ${SCHEMA}::regnamespace and o.distribution_argument_index is not null`
  return new Set(rows.map(({ name }) => name))
}

/**
 * The coordinator connects to workers as the service's role. The settings are stored on the role,
 * because the settings of a session don't reach the workers.
 */
async function prepareRole(owner: Sql): Promise<void> {
  await owner.unsafe(`alter role ${SERVICE_ROLE} login`)
  for (const [name, value] of Object.entries(WORKER_SETTINGS)) {
    await owner.unsafe(`alter role ${SERVICE_ROLE} set ${name} = '${value}'`)
  }
}

/**
 * Grants the whole table, because Citus doesn't propagate privileges on columns. A trigger ensures
 * that tiles only grow.
 */
async function grantTiles(owner: Sql): Promise<void> {
  await owner.unsafe(`grant update on tiles to ${SERVICE_ROLE}`)
}

/**
 * True if the role has all settings and privileges. An older release made fewer settings, and a
 * restored dump may lack privileges.
 */
async function isRolePrepared(owner: Sql): Promise<boolean> {
  const [row] = await owner<{ settings: string[]; updates: boolean }[]>`
    select coalesce(r.rolconfig, '{}') as settings,
      has_table_privilege(r.oid, 'tiles', 'update') as updates
    from pg_roles r
    where r.rolname = ${SERVICE_ROLE}`
  if (!row!.updates) return false
  return Object.entries(WORKER_SETTINGS).every(([name, value]) =>
    row!.settings.some((setting) => setting.toLowerCase() === `${name}=${value}`.toLowerCase()),
  )
}

/**
 * Settings of the sessions on the workers, whatever the defaults of the database. In particular,
 * with a timeout for idle transactions, Citus may lose an intermediate result and go on without it.
 */
const WORKER_SETTINGS = {
  ...PINNED,
  ...{ synchronous_commit: 'on', lock_timeout: '5s' },
  // Statements over all slices look expensive to the planner, but are short.
  jit: 'off',
}

/** Sets how this session places tables, and chooses the number of slices for the first one. */
async function setUp(owner: Sql, shards: number, isBegun: boolean): Promise<void> {
  await owner`select set_config('citus.shard_replication_factor', '1', false)`
  if (isBegun) return
  const workers = await countWorkers(owner)
  if (workers === 0) {
    throw new UserError(
      'Citus has no workers in this database: add some with citus_add_node (docs/guides/citus.md).',
    )
  }
  const hashes = await owner<{ hash: number }[]>`
    select worker_hash(s)::integer as hash from generate_series(0, ${shards}::integer - 1) s`
  const count = chooseSliceCount(
    hashes.map(({ hash }) => hash),
    workers,
  )
  await owner`select set_config('citus.shard_count', ${String(count)}, false)`
}

async function countWorkers(owner: Sql): Promise<number> {
  const [row] = await owner<{ workers: number }[]>`
    select count(*)::integer as workers
    from pg_dist_node n
    where n.isactive and n.shouldhaveshards and n.noderole = 'primary'`
  return row!.workers
}

async function delegateFunctions(owner: Sql): Promise<void> {
  for (const name of DELEGATED_FUNCTIONS) {
    await owner`
      select create_distributed_function(
        ${name}::regproc::regprocedure, 'p_shard', colocate_with => ${DISTRIBUTED_TABLES[0]}
      )`
  }
}
