import { openLoading, type ServerAddress, type Sql } from '../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from '../proofs/integrity/problem.ts'
import type { LogArchive } from '../proofs/integrity/verify.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import { checkListed } from './listed.ts'
import { type ArchiveOptions, attachArchive } from './open.ts'
import { readArchived } from './registry.ts'
import { checkSample } from './sample.ts'

/** The archive for an integrity check of the database at an address. */
export function logArchiveOf(address: ServerAddress, options: ArchiveOptions): LogArchive {
  let store: SegmentStore | null = null
  return {
    attach: (sql) => {
      const archive = attachArchive(address, [sql], options)
      store = archive.store
      return archive.close
    },
    check: (sql) => checkArchived(sql, store),
    readBytes: async (sql) =>
      (await readArchived(sql)).reduce((sum, { fileBytes }) => sum + fileBytes, 0),
    sample: async (sql, signal) => {
      const loading = openLoading(address)
      const night = Math.floor(Date.now() / DAY_MS)
      try {
        return await checkSample({ sql, loading, store, signal }, { night, maxBlocks: MAX_BLOCKS })
      } finally {
        await loading.end({ timeout: 1 })
      }
    },
  }
}

const DAY_MS = 86_400_000

/**
 * Blocks of a sample, of up to 1 MiB of payloads each. A year of a gateway that writes 0.9 GB a day
 * has some 330,000, so each is read within a year.
 */
const MAX_BLOCKS = 1_024

/** Checks each row of the list of archived segments. */
async function checkArchived(sql: Sql, store: SegmentStore | null): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const segment of await readArchived(sql)) {
    problems.push(...(await checkListed(sql, segment, store)))
  }
  return problems.slice(0, MAX_PROBLEMS)
}
