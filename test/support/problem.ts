import { expect } from 'bun:test'
import { TITLES } from '../../src/http/problem.ts'

/** RFC 9457 with the member `error`. */
export type ProblemDetails = {
  type: string
  title: string
  status: number
  detail?: string
  error: string
}

/** Reads an answer's problem details; fails unless they have the form that all problems share. */
export async function readProblem(response: Response): Promise<ProblemDetails> {
  const { url, status } = response
  const type = response.headers.get('content-type')
  expect({ url, status, type }).toEqual({ url, status, type: 'application/problem+json' })
  const problem = (await response.json()) as ProblemDetails
  const { detail, ...stable } = problem
  const title = TITLES[status]!
  const error = expect.any(String) as unknown as string
  expect(stable).toEqual({ type: 'about:blank', title, status, error })
  expect(['string', 'undefined']).toContain(typeof detail)
  return problem
}

/** Fails unless an answer is a problem with this status and `error`. */
export async function expectProblem(
  response: Response,
  status: number,
  error: string,
): Promise<void> {
  const { url } = response
  const answer = { status: response.status, error: (await readProblem(response)).error }
  expect({ url, ...answer }).toEqual({ url, status, error })
}
