import type { Sql, Transaction } from '../../src/platform/postgres/pool.ts'

type Statement = { text: string; parameters: unknown[] }

/**
 * Runs statements in a transaction of a pool. Returns the outcome, and the plans of those that read
 * a table.
 */
export async function plansOf<Outcome>(
  pool: Sql,
  table: string,
  run: (transaction: Transaction) => Promise<Outcome>,
): Promise<{ outcome: Outcome; plans: string[] }> {
  const statements: Statement[] = []
  const debug = (_: number, text: string, parameters: unknown[]) => {
    statements.push({ text, parameters })
  }
  Object.assign(pool.options, { debug })
  const outcome = (await pool.begin(run)) as Outcome
  Object.assign(pool.options, { debug: false })
  const plans: string[] = []
  for (const { text, parameters } of statements) {
    if (!text.includes(table)) continue
    const rows = await pool.unsafe(`explain ${text}`, parameters as never[])
    plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'))
  }
  return { outcome, plans }
}
