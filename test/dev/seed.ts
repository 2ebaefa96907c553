import { fillEmptyLog, Inserts } from '../../src/archive/insert.ts'
import { setLastDecisions } from '../../src/archive/last-decisions.ts'
import { countApiKeys, countKeys } from '../../src/cli/demo.ts'
import { API_KEYS, KEYS, loadAt, PROVIDERS, random } from '../../src/cli/gateway.ts'
import type { CatalogChange } from '../../src/events/catalog-change.ts'
import { EVENT_TYPES, type EventType, hashPayload } from '../../src/events/event.ts'
import { attributeFlush, encodeFlush, type ResolvedFlush } from '../../src/events/flush.ts'
import { toLeaf } from '../../src/events/leaf.ts'
import { Catalog } from '../../src/log/catalog/catalog.ts'
import { readHeads } from '../../src/log/read.ts'
import type { Sql } from '../../src/platform/postgres/pool.ts'

/** Days of usage up to now, and minutes between two flushes. */
const DAYS = 7
const FLUSH_INTERVAL_MIN = 5
/** Requests a second in the busiest minute of a day. */
const BUSIEST_RATE = 4
/** The day, counted from the first, on which a provider has its outage. */
const OUTAGE_DAY = 4

const DAY_MIN = 24 * 60

/** An event before it has a position. */
type Draft = { type: EventType; at: Date; source: string; payload: string }

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
    const inserts = new Inserts(transaction, new AbortController().signal, () => {})
    for (const { type, at, source, payload } of drafts(now)) {
      const shard = count % shards
      const leaf = toLeaf({
        shard,
        position: Math.floor(count / shards),
        type,
        version: EVENT_TYPES[type].version,
        recordedAt: at.toISOString().replace('Z', '000+00:00'),
        source,
        idempotencyKey: null,
        payloadSha256: hashPayload(payload),
      })
      await inserts.add({ leaf, event: { shard, payload } })
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
    },
    ended: {},
  }
  const payload = JSON.stringify(change)
  const start = now.getTime() - DAYS * DAY_MIN * 60_000
  yield { type: 'CatalogChanged', at: new Date(start), source: 'admin', payload }

  const catalog = new Catalog()
  catalog.fold(0, hashPayload(payload), change)
  const chance = random(1)
  for (let minute = FLUSH_INTERVAL_MIN; minute < DAYS * DAY_MIN; minute += FLUSH_INTERVAL_MIN) {
    const at = new Date(start + minute * 60_000)
    for (const posted of flushesAt(at, Math.floor(minute / DAY_MIN), chance)) {
      const flush = attributeFlush(posted, catalog)
      yield { type: flush.type, at, source: 'dp', payload: encodeFlush(flush) }
    }
  }
}

/** Returns the two flushes posted at a time. The demo's hour is stretched to a day. */
function flushesAt(at: Date, day: number, chance: () => number): ResolvedFlush[] {
  const minute = (at.getUTCHours() * 60 + at.getUTCMinutes()) / 24
  const requests = Math.round(loadAt(minute) * BUSIEST_RATE * FLUSH_INTERVAL_MIN * 60)
  const apiKeys = countApiKeys(requests, day === OUTAGE_DAY ? minute : 0, chance)
  const keys = countKeys(requests, Math.floor(at.getTime() / 1_000), chance)
  return [
    {
      type: 'ApiKeyStatsFlushed',
      entries: {
        ids: apiKeys.map(({ api_key_id }) => api_key_id),
        requests: apiKeys.map((entry) => entry.requests),
        successes: apiKeys.map(({ success_requests }) => success_requests),
      },
    },
    {
      type: 'KeyStatsFlushed',
      entries: {
        hashes: keys.map(({ token_hash }) => token_hash),
        requests: keys.map((entry) => entry.requests),
        tokens: keys.map(({ tokens }) => tokens),
        last_accessed_at: keys.map(({ last_accessed_at }) => last_accessed_at),
      },
    },
  ]
}
