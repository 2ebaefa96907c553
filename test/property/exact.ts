import type { TestService } from '../support/service.ts'
import type { FlushAnswer } from './model.ts'
import type { ExactRow } from './model-reads.ts'

/**
 * Parses JSON: integers as bigints, rates as numbers, and `ended_at` as true, because the model
 * doesn't know the time.
 */
export function readExact(text: string): unknown {
  const revive = (name: string, value: unknown, context?: { source?: string }) => {
    if (name === 'ended_at') return typeof value === 'string' && !Number.isNaN(Date.parse(value))
    if (typeof value !== 'number' || name.endsWith('_rate')) return value
    return /^-?\d+$/.test(context?.source ?? '') ? BigInt(context!.source!) : value
  }
  return JSON.parse(text, revive as (name: string, value: unknown) => unknown)
}

/** The parts of an answer that the model predicts. */
export type Answer = { status: number; body: unknown; positions: string | null; replayed: boolean }

export async function toAnswer(response: Response): Promise<Answer> {
  const text = await response.text()
  return {
    status: response.status,
    body: text === '' ? null : readExact(text),
    positions: response.headers.get('tallybook-position'),
    replayed: response.headers.get('idempotency-replayed') === 'true',
  }
}

export type ListName = 'provider-groups' | 'api-keys' | 'keys'

/** Returns all rows of a list by id, read page by page. Throws if a page fails or repeats a row. */
export async function readAll(
  service: TestService,
  list: ListName,
  query = 'ended=true&limit=1000',
): Promise<Map<string, ExactRow>> {
  const rows = new Map<string, ExactRow>()
  let cursor: string | null = ''
  while (cursor !== null) {
    const more = cursor === '' ? '' : `&cursor=${cursor}`
    const answer = await toAnswer(await service.fetch('admin', `/admin/${list}?${query}${more}`))
    if (answer.status !== 200) throw new Error(`/admin/${list}: ${JSON.stringify(answer.body)}`)
    const page = answer.body as { items: ExactRow[]; next_cursor: string | null }
    for (const row of page.items) {
      const id = String(list === 'keys' ? row.token_hash : row.id)
      if (rows.has(id)) throw new Error(`/admin/${list} has ${id} on two pages`)
      rows.set(id, row)
    }
    cursor = page.next_cursor
  }
  return rows
}

/** The answer that has nothing but a status. */
export const NOTHING: Answer = { status: 200, body: null, positions: null, replayed: false }

/** Reads a path as an admin. */
export const get = async (service: TestService, path: string) =>
  toAnswer(await service.fetch('admin', path))

/** Reduces a problem to its `error`, which the contract defines. */
export function errorOnly(answer: Answer): Answer {
  if (answer.status === 200) return answer
  return { ...answer, body: (answer.body as { error?: string }).error }
}

/** Returns the answer that the model expects to a flush. */
export function toExpected(expected: FlushAnswer): Answer {
  if (expected.status !== 200) return { ...NOTHING, status: expected.status, body: expected.error }
  const { body, replayed, flush } = expected
  return { status: 200, body, positions: flush.at!, replayed }
}
