import type { Event } from '../../events/event.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { compareKeys } from '../verifier/exact-sums.ts'
import { mergeRows } from './compare.ts'
import type { Problem } from './problem.ts'

type Crossing = readonly [rule: string, kind: string, id: string, position: number]

/** What the events of rules in a log have crossed and cleared. */
export class RuleRows {
  /** The positions of the events, in their order. */
  readonly #events: [position: number][] = []
  readonly #crossings = new Map<string, Crossing>()

  add({ type, data }: Event, position: number): void {
    if (type !== 'RuleCrossed' && type !== 'RuleCleared') return
    const { rule, subject } = data
    const key = JSON.stringify([rule.name, subject.kind, subject.id])
    this.#events.push([position])
    if (type === 'RuleCrossed') {
      this.#crossings.set(key, [rule.name, subject.kind, subject.id, position])
    } else this.#crossings.delete(key)
  }

  /** Compares the rows that the service has written, in the snapshot of `sql`. */
  async compare(sql: Transaction): Promise<Problem[]> {
    const crossings = [...this.#crossings.values()].sort(
      (a, b) => compareKeys(a[0], b[0]) || compareKeys(a[1], b[1]) || compareKeys(a[2], b[2]),
    )
    const events = sql`select r.position::text from rule_events r order by r.position`.raw()
    const crossed = sql`
      select c.rule, c.subject_kind, c.subject_id, c.position::text
      from crossings c
      order by
        c.rule collate "C", c.subject_kind collate "C", c.subject_id collate "C"`.raw()
    return [
      ...(await mergeRows(events, this.#events, {
        ...{ check: 'rules', key: ['position'], values: [] },
        place: ([position]) => `rule_events ${position}`,
      })),
      ...(await mergeRows(crossed, crossings, {
        ...{ check: 'rules', key: ['rule', 'subject_kind', 'subject_id'], values: ['position'] },
        place: ([rule, kind, id]) => `crossings ${rule}/${kind}/${id}`,
      })),
    ]
  }
}
