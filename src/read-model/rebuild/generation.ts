import { isLockTimeout } from '../../platform/postgres/errors.ts'
import { type Sql, transact } from '../../platform/postgres/pool.ts'
import { PROJECTIONS } from '../projections/index.ts'
import type { Projection } from '../projections/projection.ts'
import { insertCheckpoints } from '../projector/checkpoint.ts'
import { failSilent, readRebuilding } from './record.ts'

/** A generation that is being built. */
export type Generation = {
  projection: Projection
  generation: number
  /** The live generation. */
  replaces: number
  /** True if the live generation has the same fold version: both must then have the same rows. */
  isComparable: boolean
}

/** Maximum time (ms) that a drop waits for a reader: new readers queue behind it. */
const DROP_LOCK_MS = 100

/** Maximum duration of a commit, in seconds. */
const COMMIT_S = 30

/**
 * Creates a generation of each of these projections: no rows, checkpoints before the first event,
 * and invisible to readers. First drops what killed rebuilds have left. If any of the projections
 * is already being rebuilt, creates none and returns the names of those. With `onlyChanged`, skips
 * projections whose live generation has this fold version or a newer one; another instance may just
 * have made it.
 *
 * If the process is killed afterwards, the next rebuild or start drops the generations once they
 * have sent no heartbeat for long enough.
 */
export async function beginGenerations(
  owner: Sql,
  projections: readonly Projection[],
  onlyChanged = false,
): Promise<Generation[] | { underWay: string[] }> {
  await sweepGenerations(owner)
  return transact(owner, '', async (transaction) => {
    // Serializes concurrent starts.
    await transaction`select from projections p order by p.projection for update`
    const rebuilding = await readRebuilding(transaction)
    const underWay = projections.map(({ name }) => name).filter((name) => rebuilding.includes(name))
    if (underWay.length > 0) return { underWay }
    const generations: Generation[] = []
    for (const projection of projections) {
      const { name, tables, version } = projection
      const [row] = await transaction<{ live: number; version: number; newest: number }[]>`
        select p.generation as live, p.version, greatest(p.generation, (
          select max(r.generation) from rebuilds r where r.projection = p.projection
        )) as newest
        from projections p
        where p.projection = ${name}`
      if (onlyChanged && row!.version >= version) continue
      const generation = row!.newest + 1
      for (const { name: table, fillfactor } of tables) {
        if (fillfactor === null) continue
        await transaction`select create_generation(${table}, ${generation}, ${fillfactor})`
      }
      await insertCheckpoints(transaction, name, generation)
      await transaction`
        insert into rebuilds
          (projection, generation, state, started_at, seen_at, events_folded, events_total)
        values
          (${name}, ${generation}, 'folding', statement_timestamp(), statement_timestamp(), 0, 0)`
      const isComparable = row!.version === version
      generations.push({ projection, generation, replaces: row!.live, isComparable })
    }
    return generations
  })
}

/** Marks generations as failed for a reason shown to operators, and drops them. */
export async function abandonGenerations(
  owner: Sql,
  generations: readonly Generation[],
  reason: string,
): Promise<void> {
  for (const { projection, generation } of generations) {
    await owner`
      update rebuilds r
      set state = 'failed', finished_at = statement_timestamp(), error = ${reason}
      where r.projection = ${projection.name} and r.generation = ${generation}
        and r.finished_at is null`
  }
  await sweepGenerations(owner)
}

/**
 * Drops every generation that is neither live nor being built: those of killed rebuilds, and
 * replaced ones once no open transaction may still read them. Leaves those with readers to the next
 * call. Returns true if none are left.
 */
export async function sweepGenerations(owner: Sql): Promise<boolean> {
  await failSilent(owner)
  let isClean = true
  for (const projection of PROJECTIONS) {
    for (const generation of await readLeftovers(owner, projection)) {
      if (!(await dropGeneration(owner, projection, generation))) isClean = false
    }
  }
  return isClean
}

/**
 * Returns generations that have rows, a partition or checkpoints, but are neither live nor being
 * rebuilt.
 */
async function readLeftovers(owner: Sql, { name, tables }: Projection): Promise<number[]> {
  const found = new Set<number>()
  for (const { name: table, fillfactor } of tables) {
    const rows =
      fillfactor === null
        ? await owner<{ generation: number }[]>`
            select distinct t.generation from ${owner(table)} t`
        : await owner<{ generation: number }[]>`
            select substring(c.relname from '[0-9]+$')::integer as generation
            from pg_inherits i
              join pg_class c on c.oid = i.inhrelid
            where i.inhparent = ${table}::regclass`
    for (const { generation } of rows) found.add(generation)
  }
  const checkpoints = await owner<{ generation: number }[]>`
    select distinct c.generation from checkpoints c where c.projection = ${name}`
  for (const { generation } of checkpoints) found.add(generation)
  const needed = await owner<{ generation: number }[]>`
    select p.generation from projections p where p.projection = ${name}
    union
    select r.generation from rebuilds r where r.projection = ${name} and r.finished_at is null`
  // Before the first start no generation is live, and all of them are about to be.
  if (needed.length === 0) return []
  for (const { generation } of needed) found.delete(generation)
  return [...found].sort((a, b) => a - b)
}

/** Returns false if a transaction reads it, or may still read it as the live generation. */
async function dropGeneration(
  owner: Sql,
  { name, tables }: Projection,
  generation: number,
): Promise<boolean> {
  if (await isPerhapsRead(owner, name)) return false
  try {
    // Delete checkpoints before rows: without them no process can continue to fold into the
    // generation.
    await owner`
      delete from checkpoints c where c.projection = ${name} and c.generation = ${generation}`
    for (const { name: table, fillfactor } of tables) {
      if (fillfactor === null) {
        await owner`delete from ${owner(table)} t where t.generation = ${generation}`
        continue
      }
      await transact(owner, '', async (transaction) => {
        await transaction`select set_config('lock_timeout', ${`${DROP_LOCK_MS}ms`}, true)`
        await transaction`select drop_generation(${name}, ${table}, ${generation})`
      })
    }
    return true
  } catch (error) {
    if (isLockTimeout(error)) return false
    throw error
  }
}

/**
 * True while a transaction is open that began before the live generation went live. A drop is not
 * undone for such a reader: it would find no rows. The time of going live is recorded twice, before
 * the commit and after it; if the process was killed in between, the commit is taken to be COMMIT_S
 * later.
 */
async function isPerhapsRead(owner: Sql, projection: string): Promise<boolean> {
  const [row] = await owner<{ read: boolean }[]>`
    select exists (
      select
      from rebuilds r
        join pg_stat_activity a on a.datname = current_database()
          and a.pid <> pg_backend_pid()
          and a.xact_start <= case
            when r.seen_at > r.finished_at then r.seen_at
            else r.finished_at + ${COMMIT_S} * interval '1 s'
          end
      where r.projection = ${projection} and r.state = 'live'
    ) as read`
  return row!.read
}
