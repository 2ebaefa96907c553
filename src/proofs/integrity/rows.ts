import { readMigrations } from '../../platform/postgres/migrate.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

// Tables that cannot be recomputed from the log. Their rows are compared with a hash that was
// written with them, or with the files of this version.

/** Checks the row of every token against its hash. */
export async function checkTokens(sql: Sql): Promise<Problem[]> {
  const rows = await sql<{ name: string; expected: string; found: string }[]>`
    select t.name, encode(t.row_sha256, 'hex') as expected, encode(h.hash, 'hex') as found
    from tokens t
      cross join lateral token_row_hash(
        t.name, t.role, t.token_sha256, t.created_at, t.revoked_at
      ) as h(hash)
    where h.hash <> t.row_sha256
    order by t.name
    limit ${MAX_PROBLEMS}`
  return rows.map(({ name, expected, found }) => ({
    check: 'tokens',
    at: `tokens ${name}`,
    expected: `row_sha256 ${expected}`,
    found,
  }))
}

/** Checks the row of every verification against its hash. */
export async function checkVerifications(sql: Sql): Promise<Problem[]> {
  const rows = await sql<{ id: string; expected: string; found: string }[]>`
    select v.id, encode(v.row_sha256, 'hex') as expected, encode(h.hash, 'hex') as found
    from verifications v
      cross join lateral verification_row_hash(
        v.id, v.due_at, v.started_at, v.finished_at, v.positions, v.events, v.problems, v.report
      ) as h(hash)
    where h.hash <> v.row_sha256
    order by v.id
    limit ${MAX_PROBLEMS}`
  return rows.map(({ id, expected, found }) => ({
    check: 'verifications',
    at: `verifications ${id}`,
    expected: `row_sha256 ${expected}`,
    found,
  }))
}

/** Checks every applied migration against its file. */
export async function checkMigrations(sql: Sql): Promise<Problem[]> {
  const files = new Map(readMigrations().map((file) => [file.number, file]))
  const rows = await sql<{ number: number; name: string; sha256: string }[]>`
    select m.number, m.name, m.sha256 from migrations m order by m.number`
  const applied = new Map(rows.map((row) => [row.number, row]))
  const numbers = [...new Set([...files.keys(), ...applied.keys()])].sort((a, b) => a - b)
  const describe = (migration: { name: string; sha256: string } | undefined) =>
    migration === undefined ? 'no row' : `${migration.name} ${migration.sha256}`
  return numbers
    .map((number) => ({
      check: 'migrations' as const,
      at: `migrations ${number}`,
      expected: describe(files.get(number)),
      found: describe(applied.get(number)),
    }))
    .filter(({ expected, found }) => expected !== found)
    .slice(0, MAX_PROBLEMS)
}
