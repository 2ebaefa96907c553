import type postgres from 'postgres'
import type { Corruption } from './corruption.ts'

/** Disables the triggers that prevent even the owner from changing the log. */
export async function unlockLog(owner: postgres.Sql): Promise<void> {
  for (const table of ['events', 'tiles']) {
    await owner.unsafe(`alter table ${table} disable trigger user`)
  }
}

/** Makes the changes at distinct places, runs `during`, and reverts them. Returns the places. */
export async function whileChanged(
  owner: postgres.Sql,
  changes: readonly Corruption[],
  during: () => Promise<void>,
  taken: readonly string[] = [],
): Promise<Map<Corruption, string[] | null>> {
  const tables = [...new Set(changes.map(({ table }) => table))]
  for (const table of tables) {
    await owner.unsafe(`create table saved_${table} as select * from ${table}`)
  }
  try {
    const places = new Map<Corruption, string[] | null>()
    for (const change of changes) {
      const others = [...taken, ...[...places.values()].flatMap((names) => names ?? [])]
      places.set(change, await make(owner, change, others))
    }
    await during()
    return places
  } finally {
    for (const table of tables) await restore(owner, table)
  }
}

/** SQLSTATEs of a violated check and of a violated foreign key. */
const REFUSALS = new Set(['23514', '23503'])

/**
 * Changes one row whose place is not in `taken`. Returns its place before and after the change, or
 * null if the database refuses it.
 */
async function make(
  owner: postgres.Sql,
  { table, column, value, where, foundBy, at }: Corruption,
  taken: readonly string[],
): Promise<string[] | null> {
  // Changes that nothing reports may share a row.
  const others = foundBy === null ? [] : taken
  const [chosen] = await owner.unsafe<{ row: string; oid: string; at: string }[]>(
    `select ctid::text as row, tableoid::text as oid, ${at} as at
     from ${table}
     where (${where}) and ${at} <> all($1::text[])
     order by 3
     limit 1`,
    [others],
  )
  if (!chosen) throw new Error(`no row of ${table} where ${where}`)
  const changed = await owner
    .unsafe<{ at: string }[]>(
      `update ${table} set ${column} = ${value}
       where ctid = '${chosen.row}' and tableoid = ${chosen.oid}
       returning ${at} as at`,
    )
    .catch((error: { code?: string }) => {
      if (error.code !== undefined && REFUSALS.has(error.code)) return null
      throw error
    })
  return changed === null ? null : [chosen.at, changed[0]!.at]
}

async function restore(owner: postgres.Sql, table: string): Promise<void> {
  await owner.unsafe(`
    begin;
    delete from ${table};
    insert into ${table} overriding system value select * from saved_${table};
    drop table saved_${table};
    commit`)
}
