import type { AccountKind } from '../events/accounts.ts'

/**
 * Where the number of distinct values is limited: a dimension, or an account, whose values are
 * hashes of combinations.
 */
export type Scope = { kind: 'dimension' | AccountKind; name: string }

/** Asks for a value in all of these scopes, or in none. */
export type Question = { scopes: readonly Scope[]; value: string }

/**
 * For each scope of a question: true if the value is accepted, false if the scope is full; null if
 * it has room, but another one is full.
 */
export type Answer = (boolean | null)[]

/** Accepted values by `valueKey`, and their number by `scopeKey`. */
export type Accepted = { values: Set<string>; counts: Map<string, number> }

export const scopeKey = ({ kind, name }: Scope): string => `${kind} ${name}`

// No name contains a NUL.
export const valueKey = (scope: Scope, value: string): string => `${scopeKey(scope)}\0${value}`

/**
 * Answers questions in their order. Adds what is accepted to `accepted`, and returns it. A scope
 * never accepts more values than `limitOf` returns, and keeps those that it has accepted.
 */
export function decide(
  questions: readonly Question[],
  { values, counts }: Accepted,
  limitOf: (scope: Scope) => number,
): { answers: Answer[]; added: (Scope & { value: string })[] } {
  const added: (Scope & { value: string })[] = []
  const answers = questions.map(({ scopes, value }) => {
    const states = scopes.map((scope) => {
      if (values.has(valueKey(scope, value))) return 'accepted'
      return (counts.get(scopeKey(scope)) ?? 0) < limitOf(scope) ? 'room' : 'full'
    })
    if (states.includes('full')) {
      return states.map((state) => (state === 'room' ? null : state === 'accepted'))
    }
    for (const [i, scope] of scopes.entries()) {
      if (states[i] === 'accepted') continue
      added.push({ ...scope, value })
      values.add(valueKey(scope, value))
      counts.set(scopeKey(scope), (counts.get(scopeKey(scope)) ?? 0) + 1)
    }
    return states.map(() => true)
  })
  return { answers, added }
}
