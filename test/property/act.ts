import { expect } from 'bun:test'
import type { TestService } from '../support/service.ts'
import { type ActStep, AS_OF, type NaiveBooks, offset } from './books.ts'
import { errorOnly, NOTHING, toAnswer } from './exact.ts'
import type { Range } from './range.ts'

/**
 * Takes a step of bookkeeping there and in the model, where it gets `position`, and compares the
 * answers. Returns false if there was nothing to do, or the act was refused.
 */
export async function takeAct(
  service: TestService,
  books: NaiveBooks,
  step: ActStep,
  { range, position, newKey }: { range: Range; position: string; newKey: () => string },
): Promise<boolean> {
  let [path, body, refusal] = ['/admin/corrections', {}, null as ReturnType<typeof books.open>]
  const counted = 'nth' in step ? books.counted[step.nth % books.counted.length] : undefined
  if (step.do === 'reverse') {
    if (counted === undefined) return false
    body = { reverse: counted.at, reason: 'wrong' }
    refusal = books.reverse(counted)
  } else {
    const rows = step.do === 'offset' ? offset(counted?.effects ?? []) : range.moveRows(step.rows)
    if (rows === null || Object.values(rows).every((list) => list.length === 0)) return false
    body = { adjust: rows, reason: 'by hand' }
    if (step.do !== 'open') refusal = books.adjust(rows, position)
    else {
      path = '/admin/balances'
      body = { as_of: AS_OF, origin: { system: 'old' }, ...rows }
      refusal = books.open(rows, position)
    }
  }
  const answer = await toAnswer(
    await service.fetch('admin', path, {
      method: 'POST',
      headers: { 'idempotency-key': newKey() },
      body: JSON.stringify(body),
    }),
  )
  if (refusal !== null) {
    const [status, error] = refusal
    expect(errorOnly(answer)).toEqual({ ...NOTHING, status, body: error })
    return false
  }
  expect(answer).toMatchObject({ status: 201, positions: position, replayed: false })
  return true
}
