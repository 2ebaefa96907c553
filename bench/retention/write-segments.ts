/**
 * Writes all full segments of a log to an archive, in a process of its own, and prints one line of
 * JSON. `bun bench/retention/write-segments.ts <address as JSON> <URL of the archive>`
 */
import { connectAsOwner, openPools } from '../../src/platform/postgres/pool.ts'
import { writeSegment } from '../../src/retention/write.ts'
import { openStore } from '../../src/segment-files/open-store.ts'
import type { Address } from '../server.ts'

/** Segments by their first positions, and how long they took together. */
export type Written = { firsts: number[]; end: number; seconds: number; megabytes: number }

async function main([addressText = '', url = '']: string[]): Promise<void> {
  const address = JSON.parse(addressText) as Address
  const owner = connectAsOwner(address)
  const pools = openPools(address, 1)
  const full = await owner<{ first: number; end: number }[]>`
    select g.first_position::integer as first, g.end_position::integer as end
    from segments g
    where g.shard = 0 and g.end_position <= (select max(e.position) from events e)
    order by g.first_position`
  const options = { sql: pools.read, owner, store: openStore(url), head: null }
  const started = performance.now()
  for (const { first, end } of full) {
    const result = await writeSegment({ shard: 0, first, end }, options)
    if (result.kind === 'failed') throw new Error(result.failure.reason)
  }
  const seconds = (performance.now() - started) / 1_000
  const [row] = await owner<{ bytes: number }[]>`
    select sum(a.file_bytes)::float8 as bytes from archived_segments a`
  await pools.close()
  await owner.end()
  const firsts = full.map(({ first }) => first)
  const megabytes = row!.bytes / 1e6
  console.log(
    JSON.stringify({ firsts, end: full.at(-1)!.end, seconds, megabytes } satisfies Written),
  )
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
