import { expect } from 'bun:test'
import type { TestService } from '../support/service.ts'
import type { NaiveBooks } from './books.ts'
import { errorOnly, NOTHING, toAnswer } from './exact.ts'

/** Resets the quota of a key there and in the model, and compares the answers. */
export async function resetQuota(
  service: TestService,
  books: NaiveBooks,
  hash: string,
  appended: (at: string | null) => unknown,
): Promise<void> {
  const answer = await toAnswer(
    await service.fetch('admin', `/admin/keys/${hash}/quota-reset`, {
      method: 'POST',
      body: '{"reason":"new contract"}',
    }),
  )
  if (!books.reset(hash)) {
    expect(errorOnly(answer)).toEqual({ ...NOTHING, status: 404, body: 'not found' })
    return
  }
  expect(answer).toMatchObject({ status: 201, replayed: false })
  expect(answer.positions).toStartWith('0/')
  appended(answer.positions)
}
