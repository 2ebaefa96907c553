import type { Sql } from './pool.ts'

/**
 * Asks over a connection that serves for this alone, and ends it. Returns null if it can't be made,
 * or gives no answer within `ms`.
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
