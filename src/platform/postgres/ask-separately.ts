import type { Sql } from './sql.ts'

/**
 * Runs one query on a dedicated connection, then ends the connection. Returns null if the
 * connection can't be made, the query fails, or there is no answer within `ms`.
 */
export async function askSeparately<Value>(
  sql: Sql,
  ms: number,
  ask: (sql: Sql) => PromiseLike<Value>,
): Promise<Value | null> {
  const end = () => sql.end({ timeout: 0 }).catch(() => {})
  const timer = setTimeout(end, ms)
  try {
    return await ask(sql)
  } catch {
    return null
  } finally {
    clearTimeout(timer)
    await end()
  }
}
