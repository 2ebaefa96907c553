import { useArchive } from '../log/archived.ts'
import { INTERVALS } from '../platform/intervals.ts'
import { openLoading, type Pools, type ServerAddress, type Sql } from '../platform/postgres/pool.ts'
import { BlockCache } from '../segment-files/cache.ts'
import { openStore } from '../segment-files/open-store.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import { ArchivedEvents } from './archived-events.ts'
import { FileChecks } from './file-checks.ts'
import { Registry } from './registry.ts'

/** Where the archive is, and how it is used. */
export type ArchiveOptions = {
  /** A URL that `openStore` takes; null if there is no archive. */
  url: string | null
  /** For how many days the database keeps flushes that the archive has; null for all days. */
  keepDays: number | null
  /** The folder in which fetched parts of the archive are kept, and how many bytes of them. */
  cacheFolder: string
  cacheBytes: number
}

/** No archive: what has left the database can't be read. */
export const NO_ARCHIVE: ArchiveOptions = {
  ...{ url: null, keepDays: null, cacheFolder: '', cacheBytes: 0 },
}

/** The archive as it is used by a process. */
export type OpenedArchive = {
  /** Knows which files can't be read. */
  checks: FileChecks
  /** Null if there is none. */
  store: SegmentStore | null
  close(): Promise<void>
}

/**
 * Makes reads of the log on these pools find what is in the archive. Whatever opens pools to read
 * the log has to do so. Throws UserError if the URL names no store.
 */
export function openArchive(
  address: ServerAddress,
  { append, project, read, control, session }: Pools,
  options: ArchiveOptions,
  intervals = INTERVALS.archive,
): OpenedArchive {
  return attachArchive(address, [append, project, read, control, session], options, intervals)
}

/** Like `openArchive`, for other pools. */
export function attachArchive(
  address: ServerAddress,
  pools: readonly Sql[],
  { url, cacheFolder, cacheBytes }: ArchiveOptions,
  { refreshMs } = INTERVALS.archive,
): OpenedArchive {
  const store = url === null ? null : openStore(url)
  const cache = store === null ? null : new BlockCache(cacheFolder, cacheBytes)
  const loading = openLoading(address)
  const registry = new Registry(loading, refreshMs)
  const checks = new FileChecks()
  const events = new ArchivedEvents({ registry, loading, store, cache, checks })
  useArchive(pools, events)
  return { store, checks, close: () => loading.end({ timeout: 1 }) }
}
