import { tryDecodeEvent } from '../../events/event.ts'
import { readHead } from '../../log/read.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { Problem } from './problem.ts'
import { RuleRows } from './rule-rows.ts'
import { TokenRows } from './token-rows.ts'

/** The events that are appended together with a row of a table. */
const TYPES = ['RuleCrossed', 'RuleCleared', 'TokenCreated', 'TokenRevoked']

/** The rows that are written in the transactions of their events in shard 0: no projection's. */
export class RecordedRows {
  readonly #rules = new RuleRows()
  readonly #tokens = new TokenRows()
  #through = -1

  /** Adds the events up to and including `through`. */
  async add(sql: Sql | Transaction, through: number): Promise<void> {
    const rows = await sql<{ position: string; type: string; version: number; payload: string }[]>`
      select e.position, e.type, e.version, e.payload::text as payload
      from events e
      where e.shard = 0 and e.position > ${this.#through} and e.position <= ${through}
        and e.type in ${sql(TYPES)}
      order by e.position`
    for (const { position, ...row } of rows) {
      // One that can't be read is reported as parked, or by its leaf.
      const event = tryDecodeEvent(row)
      if (event === null) continue
      this.#rules.add(event, Number(position))
      this.#tokens.add(event, Number(position))
    }
    this.#through = Math.max(this.#through, through)
  }

  /**
   * Adds what is missing, and compares the rows in the snapshot of `sql`. Nothing is compared until
   * the service has read an imported log for events of rules, seconds after its start.
   */
  async compare(sql: Transaction): Promise<Problem[]> {
    await this.add(sql, await readHead(sql, 0))
    const [fold] = await sql<{ read_through: string }[]>`select f.read_through from rule_folds f`
    const imported = Number(fold?.read_through ?? -1)
    if (imported === -1) return []
    return [...(await this.#rules.compare(sql)), ...(await this.#tokens.compare(sql, imported))]
  }
}
