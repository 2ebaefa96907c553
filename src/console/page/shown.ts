import { signal } from '@preact/signals'
import { type Answer, unwrap } from './api.ts'

/** Position of the log that the page's counters reflect: of the newest read that said one. */
export const shown = signal<string | null>(null)

/** What a read of counters gives; its position becomes the page's. Throws Failure. */
export async function unwrapWithPosition<Value>(answer: Promise<Answer<Value>>): Promise<Value> {
  const { value, position } = await unwrap(answer)
  shown.value = position
  return value
}
