import { decodeEvent, type Event } from '../events/event.ts'
import type { Crossed, Subject } from '../events/types/rule-events.ts'
import { RULE_EVENT_TYPES } from '../events/types/rule-events.ts'
import { readHead } from '../log/read.ts'
import { inSnapshot, type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'
import { toArray, toTextArray } from '../read-model/projections/array.ts'

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
    const rows = await transaction<CrossingRow[]>`
      select c.rule, c.subject_kind, c.subject_id, c.position from crossings c order by c.position`
    return { newest: Number(newest!.position), crossings: rows.map(toCrossing) }
  })
}

type CrossingRow = {
  rule: string
  subject_kind: Subject['kind']
  subject_id: string
  position: string
}

const toCrossing = ({ rule, subject_kind, subject_id, position }: CrossingRow): Crossing => ({
  ...{ rule, subject: { kind: subject_kind, id: subject_id }, position: Number(position) },
})

/** How many subjects cross a rule now, and the newest of these crossings in order. */
export type RuleCrossings = { crossed: number; newest: Crossing[] }

/** Reads what crosses each rule now, by its name, with at most `limit` crossings of each. */
export async function readNewestCrossings(
  sql: Sql,
  limit: number,
): Promise<Map<string, RuleCrossings>> {
  const rows = await sql<(CrossingRow & { crossed: number })[]>`
    select c.rule, c.subject_kind, c.subject_id, c.position, c.crossed::float8 as crossed
    from (
      select
        c.*, count(*) over (partition by c.rule) as crossed,
        row_number() over (partition by c.rule order by c.position desc) as place
      from crossings c
    ) c
    where c.place <= ${limit}
    order by c.position`
  const found = new Map<string, RuleCrossings>()
  for (const row of rows) {
    const of = found.get(row.rule) ?? { crossed: row.crossed, newest: [] }
    found.set(row.rule, of)
    of.newest.push(toCrossing(row))
  }
  return found
}

/** Counts what is crossed now. */
export async function countCrossings(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::float8 as count from crossings c`
  return row!.count
}

/** Reads events of rules by their positions in shard 0, however many. */
export async function readRuleEvents(
  sql: Sql | Transaction,
  positions: readonly number[],
): Promise<Map<number, RuleEvent>> {
  if (positions.length === 0) return new Map()
  const rows = await sql<RuleEventRow[]>`
    select e.position, e.type, e.version, e.payload::text as payload
    from events e
    where e.shard = 0 and e.position = any (${toArray(positions, (one) => one)}::bigint[])`
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
    const crossed = new Map<string, Crossing>()
    for await (const some of rows.cursor(ROWS_AT_ONCE)) {
      const positions = toArray(some, ({ position }) => Number(position))
      await transaction`
        insert into rule_events (position) select unnest(${positions}::bigint[])`
      for (const row of some) noteEvent(crossed, row)
    }
    await insertCrossings(transaction, [...crossed.values()])
    await transaction`update rule_folds set read_through = ${head}`
  })
}

function noteEvent(crossed: Map<string, Crossing>, row: RuleEventRow): void {
  const { type, data } = decodeRuleEvent(row)
  const { rule, subject } = data
  const key = keyOf(rule.name, subject)
  if (type === 'RuleCleared') crossed.delete(key)
  else crossed.set(key, { rule: rule.name, subject, position: Number(row.position) })
}

async function insertCrossings(sql: Transaction, crossings: readonly Crossing[]): Promise<void> {
  await sql`
    insert into crossings (rule, subject_kind, subject_id, position)
    select * from unnest(
      ${toTextArray(crossings, ({ rule }) => rule)}::text[],
      ${toTextArray(crossings, ({ subject }) => subject.kind)}::text[],
      ${toTextArray(crossings, ({ subject }) => subject.id)}::text[],
      ${toArray(crossings, ({ position }) => position)}::bigint[]
    )
    on conflict (rule, subject_kind, subject_id) do nothing`
}
