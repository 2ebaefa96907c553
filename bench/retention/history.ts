import { attributeApiKeyFlush } from '../../src/events/api-key-flush.ts'
import { versionOf } from '../../src/events/event.ts'
import { encodeFlush } from '../../src/events/flush.ts'
import { migrate } from '../../src/platform/postgres/migrate.ts'
import { connectAsOwner, type Sql } from '../../src/platform/postgres/pool.ts'
import { startHistory } from '../history.ts'
import type { Address } from '../server.ts'
import { groupOf, makeEntries } from '../workload.ts'

/** A gateway: proxies that each flush so many keys every so many seconds. */
export const GATEWAY = { proxies: 50, intervalSeconds: 5, keys: 100 }

export const FLUSHES_PER_SECOND = GATEWAY.proxies / GATEWAY.intervalSeconds

/** Positions of a segment: those that the service chooses first. */
const SEGMENT_POSITIONS = 524_288

/** Full segments at least: a short history has smaller ones. */
const MIN_SEGMENTS = 6

/**
 * Flushes of which the history consists, again and again with other times and keys: twenty blocks
 * of an archived segment, so that no block has one twice.
 */
const DISTINCT = 20_000

/** Flushes that are inserted by one statement. */
const STEP = 50_000

/** Stands for the time that the client states. */
const COUNTED_AT = 1_111_111_111

/**
 * Writes the log of a gateway: a catalog, and so many flushes with their times and idempotency keys
 * as the client libraries send them, the last of them recorded now. They are inserted by SQL, some
 * twenty times as fast as the service appends. Segments are small if there are few flushes.
 */
export async function writeHistory(address: Address, flushes: number): Promise<void> {
  const owner = connectAsOwner(address)
  try {
    await migrate(owner, 1)
    await createSegments(owner, flushes)
    const catalog = await startHistory(address, { keysPerFlush: GATEWAY.keys })
    await catalog.close()
    const startedAt = Date.now() / 1_000 - flushes / FLUSHES_PER_SECOND
    await backdateCatalog(owner, startedAt - 1)
    await insertDistinct(owner)
    for (let first = 1; first <= flushes; first += STEP) {
      await insertFlushes(owner, startedAt, first, Math.min(first + STEP - 1, flushes))
    }
    await owner`analyze events`
    await owner`checkpoint`
  } finally {
    await owner.end({ timeout: 1 })
  }
}

async function createSegments(owner: Sql, flushes: number): Promise<void> {
  const few = Math.ceil(flushes / (MIN_SEGMENTS + 0.1))
  const positions = Math.min(SEGMENT_POSITIONS, few)
  const segments = Math.ceil((flushes + 1) / positions) + 2
  await owner.unsafe(`
    drop table events_0_0;
    delete from segments where shard = 0;
    select create_segment(0, n * ${positions}, ${positions})
    from generate_series(0, ${segments - 1}) n`)
}

/** The log refuses changes except in a session like this one: the owner's, without triggers. */
async function backdateCatalog(owner: Sql, at: number): Promise<void> {
  await owner.begin(async (transaction) => {
    await transaction`set local session_replication_role = replica`
    await transaction`update events e set recorded_at = to_timestamp(${at}) where e.position = 0`
  })
}

async function insertDistinct(owner: Sql): Promise<void> {
  await owner`
    create temporary table distinct_flushes (number integer, payload text, primary key (number))`
  for (let first = 0; first < DISTINCT; first += 1_000) {
    const payloads = Array.from({ length: 1_000 }, () => makePayload())
    await owner`
      insert into distinct_flushes (number, payload)
      select ${first} + p.ordinal - 1, p.payload
      from json_array_elements_text(${JSON.stringify(payloads)}::text::json)
        with ordinality as p(payload, ordinal)`
  }
  await owner`analyze distinct_flushes`
}

const makeFlush = () => ({
  type: 'ApiKeyStatsFlushed' as const,
  data: { ...attributeApiKeyFlush(makeEntries(GATEWAY.keys), groupOf), counted_at: COUNTED_AT },
})

const makePayload = () => encodeFlush(makeFlush())

/** A proxy states the second in which it made the flush, some time before it was recorded. */
async function insertFlushes(owner: Sql, startedAt: number, first: number, last: number) {
  const { proxies } = GATEWAY
  await owner`
    insert into events (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select
      0, f.position, 'ApiKeyStatsFlushed', ${versionOf(makeFlush())}, to_timestamp(f.at), 'dp',
      concat(
        'gateway-', f.position % ${proxies}::integer, '/',
        substr(md5((f.position % ${proxies}::integer)::text), 1, 12), '.api/',
        f.position / ${proxies}::integer
      ),
      f.payload::json, sha256(convert_to(f.payload, 'UTF8'))
    from (
      select
        n.position, n.at,
        replace(d.payload, ${String(COUNTED_AT)}, floor(n.at - 0.3)::bigint::text) as payload
      from (
        select n as position, ${startedAt} + n / ${FLUSHES_PER_SECOND}::float8 as at
        from generate_series(${first}::bigint, ${last}::bigint) n
      ) n
        join distinct_flushes d on d.number = n.position % ${DISTINCT}::integer
    ) f
    order by f.position`
}
