import { decodeEvent, type Event } from '../events/event.ts'
import type { Crossed, Subject } from '../events/types/rule-events.ts'
import { RULE_EVENT_TYPES } from '../events/types/rule-events.ts'
import { readHead } from '../log/read.ts'
import { inSnapshot, type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'

/** A rule that a subject crosses now, and the position of its RuleCrossed in shard 0. */
export type Crossing = { rule: string; subject: Subject; position: number }

/** What is crossed after the event of a rule at `newest`; -1 if there is none. */
export type Crossings = { newest: number; crossings: Crossing[] }

/** Identifies a subject of a rule. */
export const keyOf = (rule: string, { kind, id }: Subject) => `${rule} ${kind} ${id}`

/** Reads what is crossed now. */
export function readCrossings(sql: Sql): Promise<Crossings> {
  return inSnapshot(sql, async (transaction) => {
    const [newest] = await transaction<{ position: string }[]>`
      select coalesce(max(r.position), -1) as position from rule_events r`
    const rows = await transaction<
      { rule: string; subject_kind: Subject['kind']; subject_id: string; position: string }[]
    >`
      select c.rule, c.subject_kind, c.subject_id, c.position from crossings c order by c.position`
    return {
      newest: Number(newest!.position),
      crossings: rows.map(({ rule, subject_kind, subject_id, position }) => ({
        ...{ rule, subject: { kind: subject_kind, id: subject_id }, position: Number(position) },
      })),
    }
  })
}

/** Counts what is crossed now. */
export async function countCrossings(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::float8 as count from crossings c`
  return row!.count
}

/** Reads events of rules by their positions in shard 0. */
export async function readRuleEvents(
  sql: Sql | Transaction,
  positions: readonly number[],
): Promise<Map<number, RuleEvent>> {
  if (positions.length === 0) return new Map()
  const rows = await sql<RuleEventRow[]>`
    select e.position, e.type, e.version, e.payload::text as payload
    from events e
    where e.shard = 0 and e.position in ${sql(positions)}`
  return new Map(rows.map((row) => [Number(row.position), decodeRuleEvent(row)]))
}

/** The content of an event of a rule. */
export type RuleEvent = Extract<Event, { data: Crossed }>

type RuleEventRow = { position: string; type: string; version: number; payload: string }

const decodeRuleEvent = ({ type, version, payload }: RuleEventRow) =>
  decodeEvent(type, version, payload) as RuleEvent

/** Events that are read at once. */
const ROWS_AT_ONCE = 1_000

/**
 * Reads the events of rules from a log that was imported, once: everything that was appended here
 * is known. If killed before the commit, nothing was read.
 */
export async function readImported(sql: Sql): Promise<void> {
  const [fold] = await sql<{ is_due: boolean }[]>`
    select f.read_through = -1 as is_due from rule_folds f`
  if (!fold!.is_due) return
  await transact(sql, '', async (transaction) => {
    const locked = await transaction`
      select from rule_folds f where f.read_through = -1 for update`
    if (locked.length === 0) return
    const head = await readHead(transaction, 0)
    await transaction`delete from rule_events r where r.position <= ${head}`
    await transaction`delete from crossings c where c.position <= ${head}`
    const rows = transaction<RuleEventRow[]>`
      select e.position, e.type, e.version, e.payload::text as payload
      from events e
      where e.shard = 0 and e.position <= ${head} and e.type in ${transaction(RULE_EVENT_TYPES)}
      order by e.position`
    for await (const some of rows.cursor(ROWS_AT_ONCE)) await noteEvents(transaction, some)
    await transaction`update rule_folds set read_through = ${head}`
  })
}

async function noteEvents(transaction: Transaction, rows: readonly RuleEventRow[]): Promise<void> {
  for (const row of rows) {
    const { type, data } = decodeRuleEvent(row)
    const { rule, subject } = data
    await transaction`insert into rule_events (position) values (${row.position})`
    if (type === 'RuleCrossed') {
      await transaction`
        insert into crossings (rule, subject_kind, subject_id, position)
        values (${rule.name}, ${subject.kind}, ${subject.id}, ${row.position})
        on conflict (rule, subject_kind, subject_id) do update set position = excluded.position`
    } else {
      await transaction`
        delete from crossings c
        where c.rule = ${rule.name} and c.subject_kind = ${subject.kind}
          and c.subject_id = ${subject.id}`
    }
  }
}
