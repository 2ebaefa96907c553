/**
 * The limit of the database itself: rows of appends inserted in bare batches, back to back on one
 * connection, without HTTP, lock, catalog or idempotency keys. Prints one line of JSON.
 * `bun bench/peers/bare-batches.ts <address as JSON> <keys a flush> <flushes a batch> <seconds>`
 */

import { hashPayload } from '../../src/events/event.ts'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { percentile } from '../measure.ts'
import type { Address } from '../server.ts'
import { makePayload } from '../workload.ts'

async function main([addressText = '', keys = '', batch = '', seconds = '']: string[]) {
  const sql = connectAsOwner(JSON.parse(addressText) as Address)
  await sql`
    create table if not exists public.bare_events (
      shard integer, position bigint, type text, version smallint, recorded_at timestamptz,
      source text, idempotency_key text, payload json, payload_sha256 bytea,
      primary key (shard, position)
    )`
  await sql`alter table public.bare_events alter column payload set storage external`
  const [row] = await sql`select coalesce(max(position), -1) + 1 as next from public.bare_events`
  let next = Number(row!.next)
  const payloads = Array.from({ length: 64 }, () => makePayload(Number(keys)))
  const hashes = payloads.map(hashPayload)
  const pick = (list: string[]) =>
    Array.from({ length: Number(batch) }, (_, i) => list[(next + i) % 64]).join('\n')

  const tookMs: number[] = []
  const begun = performance.now()
  while (performance.now() - begun < Number(seconds) * 1_000) {
    const started = performance.now()
    await sql`
      insert into public.bare_events
      select 0, ${next}::bigint + f.ordinal, 'ApiKeyStatsFlushed', 2, clock_timestamp(), 'dp', null,
        f.payload::json, decode(f.sha256, 'hex')
      from rows from (
        string_to_table(${pick(payloads)}::text, e'\n'),
        string_to_table(${pick(hashes)}::text, e'\n')
      ) with ordinality as f(payload, sha256, ordinal)`
    next += Number(batch)
    tookMs.push(performance.now() - started)
  }
  const elapsedMs = performance.now() - begun
  await sql.end()
  console.log(
    JSON.stringify({
      perSecond: (tookMs.length * Number(batch) * 1_000) / elapsedMs,
      errors: 0,
      p50Ms: percentile(tookMs, 0.5),
      p99Ms: percentile(tookMs, 0.99),
    }),
  )
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
