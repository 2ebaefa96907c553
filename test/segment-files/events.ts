import { attributeApiKeyFlush } from '../../src/events/api-key-flush.ts'
import { encodeApiKeyFlush, versionOfApiKeyFlush } from '../../src/events/api-key-flush-payload.ts'
import { hashPayload, type StoredEvent } from '../../src/events/event.ts'
import { hashLeaf, toLeaf } from '../../src/events/leaf.ts'
import { fromMicroseconds } from '../../src/segment-files/blocks/time.ts'

// Events as a gateway posts them: 100 of 10,000 API keys in each flush, some failures. The same
// ones in each run.

const GROUPS = 10
const START = Date.UTC(2026, 0, 31, 12) * 1_000

/** Returns random numbers from 0 to 1, the same ones for a seed. */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

type Shape = {
  /** The number of keys in each flush. */
  keys?: number
  /** Whether flushes state when they were counted, and so have packed columns. */
  counted?: boolean
  /** The position of the first. */
  first?: number
  seed?: number
}

/** Makes consecutive flushes of shard 0, some tenths of a second apart. */
export function makeFlushes(
  count: number,
  { keys = 100, counted = false, first = 0, seed = 1 }: Shape = {},
): StoredEvent[] {
  const random = randomFrom(seed)
  const below = (end: number) => Math.floor(random() * end)
  let at = START
  return Array.from({ length: count }, (_, i) => {
    at += 50_000 + below(100_000)
    const ids = new Set<number>()
    while (ids.size < keys) ids.add(1 + below(10_000))
    const requests = Array.from(ids, () => 1 + below(20))
    const successes = requests.map((requested) => requested - (random() < 0.02 ? 1 : 0))
    const groupOf = (id: number) => 1 + (id % GROUPS)
    const flush = {
      ...attributeApiKeyFlush({ ids: [...ids], requests, successes }, groupOf),
      ...(counted && { counted_at: Math.floor(at / 1e6) - below(5) }),
    }
    return makeEvent(encodeApiKeyFlush(flush), {
      ...{ position: first + i, version: versionOfApiKeyFlush(flush) },
      ...{ recordedAt: fromMicroseconds(at), idempotencyKey: `gateway-1.6f3a9c/${first + i}` },
    })
  })
}

/** Makes an event with a payload, which is the first of shard 0 unless `members` differ. */
export function makeEvent(payload: string, members: Partial<StoredEvent> = {}): StoredEvent {
  return {
    ...{ shard: 0, position: 0, type: 'ApiKeyStatsFlushed', version: 2 },
    ...{ recordedAt: fromMicroseconds(START), source: 'dp', idempotencyKey: null, payload },
    payloadBytes: payload.length,
    payloadSha256: hashPayload(payload),
    ...members,
  }
}

/** Returns the leaf hashes of events. */
export const leavesOf = (events: readonly StoredEvent[]) =>
  events.map((event) => hashLeaf(toLeaf(event)))

/** Yields events in pages, as the log is read. */
export async function* inPages(
  events: readonly StoredEvent[],
  size = 1_000,
): AsyncGenerator<StoredEvent[]> {
  for (let at = 0; at < events.length; at += size) yield events.slice(at, at + size)
}
