import { expect, test } from 'bun:test'
import fc from 'fast-check'
import type { RuleRow } from '../../src/events/rule.ts'
import type { Subject } from '../../src/events/types/rule-events.ts'
import { type Crossing, keyOf, type RuleEvent } from '../../src/rules/crossings.ts'
import {
  type Change,
  decide,
  type Evaluation,
  type MeasuredRule,
  toEvent,
} from '../../src/rules/decide.ts'
import { parametersOf, runsOf } from '../property/runs.ts'

// What is decided changes what is crossed into what was measured, by one event for each change.

/** Decides to the end, and returns what has changed. */
function decideAll(on: Evaluation, limit: number): Change[] {
  const steps = decide(on, limit)
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

const at = '2026-01-31T12:00:00.000000+00:00'
const ruleOf = (name: string): RuleRow => ({ name, kind: 'quota', percent: 80 })
const subjectOf = (id: string): Subject => ({ kind: 'key', id })

const names = ['r', 's', 't']
const ids = ['a', 'b', 'c']
const pairs = names.flatMap((name) => ids.map((id) => ({ name, id })))

const state = fc.constantFrom('crossed', 'clear', 'unsure', null)
const evaluation = fc.record({
  crossed: fc.subarray(pairs),
  states: fc.array(state, { minLength: pairs.length, maxLength: pairs.length }),
  ended: fc.subarray(names),
  skipped: fc.subarray(names),
})

test('each change is one event, and nothing else is', () => {
  fc.assert(
    fc.property(evaluation, ({ crossed, states, ended, skipped }) => {
      const crossings: Crossing[] = crossed.map(({ name, id }, position) => ({
        ...{ rule: name, subject: subjectOf(id), position },
      }))
      const events = new Map<number, RuleEvent>(
        crossings.map(({ rule, subject, position }) => [
          position,
          {
            type: 'RuleCrossed',
            data: { rule: ruleOf(rule), subject, value: {}, at, through: '0/1' },
          },
        ]),
      )
      const isMeasured = (name: string) => !ended.includes(name) && !skipped.includes(name)
      const measured: MeasuredRule[] = names.filter(isMeasured).map((name) => ({
        rule: ruleOf(name),
        measured: pairs.flatMap((pair, i) =>
          pair.name === name && states[i] !== null
            ? { subject: subjectOf(pair.id), state: states[i]!, value: {}, through: [1] }
            : [],
        ),
      }))
      const skips = new Set(skipped)
      const on = { at, heads: [1], measured, skipped: skips, crossings }
      const decided = decideAll(on, pairs.length).map((change) => toEvent(change, events))
      const expected = pairs.flatMap((pair, i) => {
        const isCrossed = crossed.includes(pair)
        if (skips.has(pair.name)) return []
        const found = ended.includes(pair.name) ? null : states[i]
        if (found === null) return isCrossed ? [['RuleCleared', pair, 'unwatched']] : []
        if (found === 'crossed' && !isCrossed) return [['RuleCrossed', pair, undefined]]
        return found === 'clear' && isCrossed ? [['RuleCleared', pair, 'recovered']] : []
      })
      const keyed = (rows: (readonly unknown[])[]) => rows.map((row) => JSON.stringify(row)).sort()
      const rows = decided.map(({ type, data }) => [
        ...[type, { name: data.rule.name, id: data.subject.id }],
        'why' in data ? data.why : undefined,
      ])
      expect(keyed(rows)).toEqual(keyed(expected))
      const keys = decided.map(({ data }) => keyOf(data.rule.name, data.subject))
      expect(new Set(keys).size).toBe(keys.length)
      // With a limit, it is the first of them.
      for (const limit of [0, 1, 3]) {
        const some = decideAll(on, limit).map((change) => toEvent(change, events))
        expect(some).toEqual(decided.slice(0, limit))
      }
    }),
    parametersOf(runsOf(200)),
  )
})
