import type { Kind } from './naive-body.ts'
import type { Range } from './range.ts'
import type { Step } from './steps.ts'

type Entries = (object | null)[]
type NumberFields = Record<string, number | null>

/** The number that a retry raises; more successes than requests are refused. */
const OTHER_NUMBERS = {
  'api-keys': ['requests', 'success_requests'],
  keys: ['requests', 'tokens', 'last_accessed_at'],
}

/** Returns the body that a retry of a flush posts. */
export function changeFlush(
  kind: Kind,
  text: string,
  step: Step & { do: 'retry' },
  range: Range,
): string {
  const { keys, ...body } = JSON.parse(text) as { keys: Entries; counted_at?: number }
  if (step.change === 'other time') {
    const { counted_at } = body
    // Another second, no time at all, or some time.
    if (counted_at === undefined) body.counted_at = Math.floor(Date.now() / 1_000)
    else if (step.nth % 2 === 0) delete body.counted_at
    else body.counted_at = counted_at - 1
  }
  return JSON.stringify({ keys: changeEntries(kind, keys, step, range), ...body })
}

/** Returns the entries that a retry posts, which it may change in place. */
function changeEntries(
  kind: Kind,
  entries: Entries,
  { nth, change }: Step & { do: 'retry' },
  range: Range,
): Entries {
  if (change === 'shuffled') entries.push(...entries.splice(0, 1 + (nth % 3)).reverse())
  if (change === 'more') entries.push({ api_key_id: range.id(1), token_hash: 'x', requests: 1 })
  if (change === 'less') entries.pop()
  if (change === 'other numbers') {
    const entry = entries[nth % entries.length] as NumberFields | null | undefined
    const name = OTHER_NUMBERS[kind][nth % OTHER_NUMBERS[kind].length]!
    if (entry) entry[name] = (entry[name] ?? 0) + 1
  }
  return entries
}
