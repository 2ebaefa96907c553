import { expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  type Accepted,
  decide,
  type Question,
  type Scope,
  scopeKey,
  valueKey,
} from '../../src/dimensions/decide.ts'
import { parametersOf, runsOf } from '../property/runs.ts'

const LIMIT = 3
const limitOf = () => LIMIT
const none = (): Accepted => ({ values: new Set(), counts: new Map() })
const apiKey = (id: number): Scope => ({ kind: 'api_key', name: String(id) })
const group = (id: number): Scope => ({ kind: 'provider_group', name: String(id) })
const answersOf = (questions: Question[], accepted = none()) =>
  decide(questions, accepted, limitOf).answers

test('a scope accepts values up to its limit, in order, and keeps them', () => {
  const scopes = [{ kind: 'dimension', name: 'model' } as const]
  const ask = (value: string) => ({ scopes, value })
  expect(answersOf([...'abacdad'].map(ask))).toEqual([
    ...[[true], [true], [true], [true], [false], [true], [false]],
  ])
})

test('a value that one scope refuses takes no place in the other', () => {
  const accepted = none()
  const ask = (value: string, ...scopes: Scope[]) => ({ scopes, value })
  answersOf(
    [...'abc'].map((value) => ask(value, group(1))),
    accepted,
  )
  expect(answersOf([ask('d', apiKey(1), group(1))], accepted)).toEqual([[null, false]])
  // The group has accepted it already.
  expect(answersOf([ask('a', apiKey(1), group(1))], accepted)).toEqual([[true, true]])
  expect(accepted.counts.get(scopeKey(apiKey(1)))).toBe(1)
  answersOf(
    [...'de'].map((value) => ask(value, apiKey(1))),
    accepted,
  )
  expect(answersOf([ask('b', apiKey(1), group(1))], accepted)).toEqual([[false, true]])
})

test('lowering a limit refuses nothing that was accepted', () => {
  const scopes = [apiKey(1)]
  const accepted = none()
  answersOf([{ scopes, value: 'a' }], accepted)
  const asked = [...'ab'].map((value) => ({ scopes, value }))
  expect(decide(asked, accepted, () => 0).answers).toEqual([[true], [false]])
})

const runs = runsOf(300)

test(`no order of questions exceeds a limit, or refuses while there is room, in ${runs} runs`, () => {
  const scope = fc.record({
    kind: fc.constantFrom('dimension' as const, 'api_key' as const, 'key' as const),
    name: fc.constantFrom('a', 'b'),
  })
  const question = fc.record({
    scopes: fc.uniqueArray(scope, { minLength: 1, maxLength: 2, selector: scopeKey }),
    value: fc.constantFrom(...'stuvwxyz'),
  })
  const property = fc.property(fc.array(question, { maxLength: 40 }), (questions) => {
    const accepted = none()
    const counts = new Map<string, Set<string>>()
    const { answers, added } = decide(questions, accepted, limitOf)
    for (const [i, { scopes, value }] of questions.entries()) {
      const sets = scopes.map((one) => counts.get(scopeKey(one)) ?? new Set<string>())
      const fits = sets.map((set) => set.has(value) || set.size < LIMIT)
      const isAccepted = fits.every(Boolean)
      expect(answers[i]!.every((answer) => answer === true)).toBe(isAccepted)
      for (const [j, one] of scopes.entries()) {
        expect(answers[i]![j] === false).toBe(!fits[j])
        if (isAccepted) counts.set(scopeKey(one), sets[j]!.add(value))
      }
    }
    expect(new Set(added.map((one) => valueKey(one, one.value)))).toEqual(accepted.values)
    expect(added).toHaveLength(accepted.values.size)
    for (const [key, set] of counts) expect(accepted.counts.get(key) ?? 0).toBe(set.size)
  })
  fc.assert(property, parametersOf(runs))
})
