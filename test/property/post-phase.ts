import { expect } from 'bun:test'
import type { TestService } from '../support/service.ts'
import { nameDetails } from './details.ts'
import { type Answer, toAnswer } from './exact.ts'
import type { Accepted, Model } from './model.ts'
import { PATHS } from './naive-body.ts'
import type { PlannedPost } from './phases.ts'
import type { Range } from './range.ts'
import type { Bounds } from './watch.ts'

type Instances = [TestService, TestService]

/** A flush that is posted once or more, and the model's answer. */
type Expected = PlannedPost & {
  text: string
  headers: Record<string, string>
  accepted: Accepted
  /** Requests by which the summary grows. */
  requests: bigint
}

/** An accepted flush, and by how many requests the summary grew. */
export type Posted = Accepted & { requests: bigint; tries: number }

/**
 * Posts everything concurrently and returns the accepted flushes. All attempts of a flush must get
 * the same answer and position, all but one as replayed.
 */
export async function postPhase(
  instances: Instances,
  { model, range, bounds }: { model: Model; range: Range; bounds: Bounds },
  posts: PlannedPost[],
): Promise<Posted[]> {
  // The order makes no difference: sums, maxima, and one catalog for all.
  const expected = posts.map((plannedPost) => expectFlush(model, range, plannedPost))
  return Promise.all(expected.map((flush) => postFlush(instances, flush, bounds)))
}

let made = 0

function expectFlush(model: Model, range: Range, plannedPost: PlannedPost): Expected {
  const { kind, entries, ageS } = plannedPost.flush
  const named = nameDetails(entries.map(withOneName), model.declared, { others: false })
  const text = range.moveFlush(named, ageS)
  const key = plannedPost.retries === null ? null : `key-${made++}`
  const before = totalOf(model)
  const answer = model.flush(kind, text, key)
  if (answer.status !== 200 || answer.replayed) throw new Error(`the model refuses ${text}`)
  const headers: Record<string, string> = key === null ? {} : { 'idempotency-key': key }
  const requests = totalOf(model) - before
  return { ...plannedPost, text, headers, accepted: answer.flush, requests }
}

/** Removes the id of an API key that has two names: they could be those of two keys. */
function withOneName(entry: object | null): object | null {
  if (entry === null || !('api_key' in entry)) return entry
  return { ...entry, api_key_id: undefined }
}

/** Returns the requests of all groups. */
export const totalOf = ({ groups }: Model) =>
  [...groups.values()].reduce((sum, { requests }) => sum + requests, 0n)

async function postFlush(
  instances: Instances,
  { flush, to, retries, text, headers, accepted, requests }: Expected,
  bounds: Bounds,
): Promise<Posted> {
  const post = async (instance: TestService) =>
    toAnswer(await instance.post(PATHS[flush.kind], text, headers))
  const retry = (at: 'once' | 'answered') =>
    (retries ?? [])
      .filter((retry) => retry.at === at)
      .map((retry) => post(instances[retry.to === 'same' ? to : to === 0 ? 1 : 0]))
  bounds.attempted += requests
  const together = [post(instances[to]), ...retry('once')]
  const first = await Promise.race(together)
  bounds.acknowledged += requests
  bounds.positions.push(first.positions ?? 'none')
  const answers = [...(await Promise.all(together)), ...(await Promise.all(retry('answered')))]
  compareTries(answers, accepted)
  return { ...accepted, at: first.positions!, requests, tries: answers.length }
}

function compareTries(answers: Answer[], { body }: Accepted): void {
  const positions = answers[0]!.positions
  const alike = (answer: Answer) => ({ ...answer, replayed: null })
  for (const answer of answers) {
    expect(alike(answer)).toEqual(alike({ status: 200, body, positions, replayed: false }))
  }
  expect(answers.filter(({ replayed }) => !replayed).length).toBe(1)
}
