import { ACCOUNTS } from '../../events/accounts.ts'
import type { Positions } from '../../events/positions.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { AsOfQueries } from './as-of.ts'
import type { Counted } from './contribution.ts'
import type { Source } from './live-source.ts'
import { countedRows, type Scope } from './scope.ts'

/** The log, and as-of totals. */
export type LogAndHistory = { sql: Sql | Transaction; history: AsOfQueries }

/** Reads the totals of `scope` as of these positions. */
export async function readCounted(
  { sql, history }: LogAndHistory,
  scope: Scope,
  positions: Positions,
): Promise<Counted> {
  const { sums } = ACCOUNTS[scope.kind]
  return history.read(sql, positions, scope, async (transaction, source) => {
    const [row] = await sumCounted(transaction, source, scope)
    return sums.map((name) => BigInt(row![name]!))
  })
}

function sumCounted(transaction: Transaction, source: Source, scope: Scope) {
  const sums = ACCOUNTS[scope.kind].sums
    .map((name) => {
      const column = transaction(name)
      return transaction`coalesce(sum(t.${column}), 0)::text as ${column}`
    })
    .reduce((all, sum) => transaction`${all}, ${sum}`)
  return transaction<Record<string, string>[]>`
    select ${sums} from (${countedRows(transaction, source, scope)}) t`
}
