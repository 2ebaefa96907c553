import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { Problem } from './problem.ts'

/** Rows that are folded a second time, in SQL, beside what the service made of the log. */
export type RefoldTable = {
  /** The projection's table; the rows folded here are in `refold_<name>`. */
  name: string
  /** Columns with their types, but for shard and generation. */
  columns: Record<string, string>
  /** Those that name a row in its shard (or, of the catalog, in all). */
  key: string[]
  /** False for the catalog, whose rows belong to no shard. */
  isSharded: boolean
  /** Adds what the chunk tables hold to `refold_<name>`. */
  fold: string
  /** False where the projection has no table of these rows: they serve `compareAt`. */
  isShown?: false
  /** Which rows of the projection's table (`f`) are compared at the end; all if absent. */
  comparedWhere?: string
}

/** How rows of a projection's table are named. */
export type TableKey = Pick<RefoldTable, 'name' | 'key' | 'isSharded'>

/** A generation's rows in one shard. */
export type Target = { shard: number; generation: number }

/** What one projection should hold, folded anew. */
export type Refold = {
  projection: string
  /** The version of the projection's fold that it follows. */
  version: number
  /** Projections of one track move together: their checkpoints are the same. */
  group: 'current' | 'snapshots' | 'usage'
  /** Compared at the end, in one snapshot with the checkpoint. */
  tables: RefoldTable[]
  /** Tables of the projection that `tables` don't name. */
  otherTables?: TableKey[]
  /** The next position behind `after` at which the walk has to stop for `compareAt`. */
  nextStop?(sql: Transaction | Sql, target: Target, after: number): Promise<number | null>
  /** Compares what has to be compared amid the walk, after the event at `position`. */
  compareAt?(sql: Transaction, target: Target, position: number): Promise<Problem[]>
  /** Sets rows apart that no later event can change, after a chunk was folded. */
  close?(sql: Transaction): Promise<void>
  /** Compares the rows that were set apart. */
  compareClosed?(sql: Sql, target: Target): Promise<Problem[]>
  /** What else has to hold at the end, where the checkpoint is at `position`. */
  compareEnd?(sql: Transaction, target: Target, position: number): Promise<Problem[]>
}

/** Makes the tables of a refold, for the whole session. */
export async function createRefold(sql: Sql, { tables, close }: Refold): Promise<void> {
  for (const { name, columns, key } of tables) {
    const list = Object.entries(columns).map(([column, type]) => `${column} ${type}`)
    // Rows change at every chunk: room for new versions in their page keeps the table small.
    await sql.unsafe(`
      create temporary table refold_${name} (
        ${list.join(', ')}, primary key (${key.join(', ')})
      ) with (fillfactor = 50)`)
    if (close) await sql.unsafe(`create temporary table closed_${name} (like refold_${name})`)
  }
}

/** Begins the refold anew: it holds one shard at a time. */
export async function emptyRefold(sql: Sql, { tables, close }: Refold): Promise<void> {
  for (const { name } of tables) {
    await sql.unsafe(`truncate refold_${name}${close ? `, closed_${name}` : ''}`)
  }
}

/** Adds the chunk that is loaded. */
export async function foldChunk(sql: Transaction, { tables }: Refold): Promise<void> {
  for (const { fold } of tables) await sql.unsafe(fold, [], { prepare: true })
}
