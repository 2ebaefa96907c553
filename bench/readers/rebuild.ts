/**
 * Rebuilds all projections of a database in a separate process, as `tallybook rebuild` does, and
 * prints one line of JSON.
 * `bun bench/readers/rebuild.ts <address as JSON> [<options of the archive as JSON>]`
 */
import { lowerPriority } from '../../src/cli/priority.ts'
import { connectAsOwner, openPools } from '../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../src/read-model/projections/index.ts'
import { rebuild } from '../../src/read-model/rebuild/rebuild.ts'
import { type ArchiveOptions, NO_ARCHIVE, openArchive } from '../../src/retention/open.ts'
import type { Address } from '../server.ts'

/** Result of one rebuild: events read by all projection groups, and rows that differed. */
export type RebuildRun = { seconds: number; events: number; drifted: number }

async function main([addressText = '', archiveText]: string[]): Promise<void> {
  const address = JSON.parse(addressText) as Address
  lowerPriority()
  const owner = connectAsOwner(address)
  const pools = openPools(address, 1)
  const options = archiveText ? (JSON.parse(archiveText) as ArchiveOptions) : NO_ARCHIVE
  const archive = openArchive(address, pools, options)
  const started = performance.now()
  let events = 0
  let seconds = 0
  const outcome = await rebuild({
    ...{ owner, project: pools.project, projections: PROJECTIONS },
    signal: new AbortController().signal,
    onProgress: ({ folded }) => {
      events = folded
      seconds = (performance.now() - started) / 1_000
    },
  })
  if ('underWay' in outcome) throw new Error('another rebuild is running')
  const drifted = outcome.rebuilt.reduce((sum, one) => sum + (one.differences?.rows ?? 0), 0)
  await archive.close()
  await pools.close()
  await owner.end()
  console.log(JSON.stringify({ seconds, events, drifted } satisfies RebuildRun))
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
