import { signal } from '@preact/signals'
import { type Answer, unwrap } from './api.ts'

/** Position of the log that the page's counters reflect, taken from the newest read. */
export const pagePosition = signal<string | null>(null)

/** Unwraps an answer with counters; its position becomes the page's. Throws Failure. */
export async function unwrapWithPosition<Value>(answer: Promise<Answer<Value>>): Promise<Value> {
  const { value, position } = await unwrap(answer)
  pagePosition.value = position
  return value
}
