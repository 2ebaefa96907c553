import { fillEmptyLog, Inserts } from '../../src/archive/insert.ts'
import { setLastDecisions } from '../../src/archive/last-decisions.ts'
import { API_KEYS, KEYS, loadAt, PROVIDERS, random } from '../../src/cli/gateway.ts'
import { countApiKeys, countKeys } from '../../src/cli/gateway-usage.ts'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import type { CatalogChange } from '../../src/events/catalog-change.ts'
import { type Event, type EventType, hashPayload, versionOf } from '../../src/events/event.ts'
import {
  attributeFlush,
  encodeFlush,
  type PostedFlush,
  type ResolvedFlush,
  resolveFlush,
} from '../../src/events/flush.ts'
import { toLeaf } from '../../src/events/leaf.ts'
import { parseFlush } from '../../src/http/flushes/model.ts'
import { Catalog } from '../../src/log/catalog/catalog.ts'
import { readHeads } from '../../src/log/read.ts'
import type { Sql } from '../../src/platform/postgres/pool.ts'

/** Days of usage up to now, and minutes between two flushes. */
const DAYS = 7
const FLUSH_INTERVAL_MIN = 30
/** Requests a second in the busiest minute of a day. */
const BUSIEST_RATE = 6
/** The day, counted from the first, on which a provider has its outage. */
const OUTAGE_DAY = 4

const DAY_MIN = 24 * 60

/** An event before it has a position. */
type Draft = { type: EventType; version: number; at: Date; source: string; payload: string }

/**
 * Fills an empty log with the catalog of the demo's gateway and a week of its usage up to now,
 * spread evenly over the shards. Returns the number of events, or null if the log is not empty.
 * Everything is one transaction: if the process is killed, the log stays empty and the next start
 * fills it.
 *
 * The API can't do this, because it sets the time of an event to the time of its append.
 */
export async function seed(owner: Sql, now = new Date()): Promise<number | null> {
  const heads = await readHeads(owner)
  if (heads.some((head) => head >= 0)) return null
  const shards = heads.length
  let count = 0
  await fillEmptyLog(owner, shards, async (transaction) => {
    const { signal } = new AbortController()
    // A week of it is far less than a segment.
    const inserts = new Inserts(transaction, { signal, reserve: async () => {} }, () => {})
    for (const { type, version, at, source, payload } of drafts(now)) {
      const shard = count % shards
      const position = Math.floor(count / shards)
      const leaf = toLeaf({
        shard,
        position,
        type,
        version,
        recordedAt: at.toISOString().replace('Z', '000+00:00'),
        source,
        idempotencyKey: null,
        payloadSha256: hashPayload(payload),
      })
      await inserts.add({ leaf, event: { shard, position, payload } })
      count++
    }
    await inserts.end()
    // The catalog is the first event, so it is at position 0 of shard 0.
    await setLastDecisions(transaction, { change: 0, act: -1 })
  })
  return count
}

/** Yields the catalog, then the flushes in order of time. Only the times differ between runs. */
function* drafts(now: Date): Generator<Draft> {
  const change: CatalogChange = {
    upserted: {
      provider_groups: PROVIDERS.map(({ id, name }) => ({ id, name })),
      api_keys: API_KEYS,
      keys: KEYS,
      dimensions: [...LLM_CONVENTIONS.dimensions],
      measures: LLM_CONVENTIONS.measures.map((measure, number) => ({ ...measure, number })),
    },
    ended: {},
  }
  const payload = JSON.stringify(change)
  const start = now.getTime() - DAYS * DAY_MIN * 60_000
  const made: Event = { type: 'CatalogChanged', data: change }
  const at = new Date(start)
  yield { type: made.type, version: versionOf(made), at, source: 'admin', payload }

  const catalog = new Catalog()
  catalog.fold(0, hashPayload(payload), change)
  const chance = random(1)
  for (let minute = FLUSH_INTERVAL_MIN; minute < DAYS * DAY_MIN; minute += FLUSH_INTERVAL_MIN) {
    const at = new Date(start + minute * 60_000)
    for (const posted of flushesAt(at, Math.floor(minute / DAY_MIN), chance)) {
      const flush = attributeFlush(resolveFlush(posted, catalog) as ResolvedFlush, catalog)
      const [version, payload] = [versionOf(flush), encodeFlush(flush)]
      yield { type: flush.type, version, at, source: 'dp', payload }
    }
  }
}

/** Returns the two flushes posted at a time. */
function flushesAt(at: Date, day: number, chance: () => number): PostedFlush[] {
  const hour = at.getUTCHours() + at.getUTCMinutes() / 60
  const load = loadAt(hour)
  const interval = {
    requests: Math.round(load * BUSIEST_RATE * FLUSH_INTERVAL_MIN * 60),
    load,
    isOutage: day === OUTAGE_DAY && hour >= 9 && hour < 12,
  }
  const parse = (type: PostedFlush['type'], keys: object[]) =>
    parseFlush(type, JSON.stringify({ keys }), false) as PostedFlush
  const keys = countKeys(interval, Math.floor(at.getTime() / 1_000), chance)
  return [
    parse('ApiKeyStatsFlushed', countApiKeys(interval, chance)),
    parse('KeyStatsFlushed', keys),
  ]
}
