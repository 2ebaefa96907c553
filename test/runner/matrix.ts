/**
 * What tests vary with beyond the code: a row for a folder or a file, of which the longest that
 * fits counts. Where a row says nothing, or there is none, once is enough: one shard, and the
 * server that the run brings.
 */
type Variation = {
  /** With four shards too. */
  shards?: true
  /** On the oldest supported version of PostgreSQL too. */
  server?: true
}

const MATRIX: Record<string, Variation> = {
  'test/archive/': { server: true },
  'test/archive/reshard': { shards: true, server: true },
  'test/archive/round-trip': { shards: true, server: true },
  'test/attestations/': { shards: true },
  'test/client/': { shards: true },
  'test/db/': { server: true },
  'test/db/migrate': { shards: true, server: true },
  'test/db/rolling': { shards: true, server: true },
  'test/http/as-of': { shards: true },
  'test/http/audit': { shards: true },
  'test/http/explain': { shards: true },
  'test/http/flushes': { shards: true },
  'test/http/follow': { shards: true },
  'test/http/live': { shards: true },
  'test/http/newest-first': { shards: true },
  'test/http/pages': { shards: true },
  'test/http/reads': { shards: true },
  'test/http/transparency': { shards: true },
  'test/http/usage': { shards: true },
  'test/instances/': { shards: true },
  'test/log/': { shards: true, server: true },
  'test/projector/': { shards: true, server: true },
  'test/property/': { shards: true },
  'test/replicas/reads': { shards: true },
  'test/transparency/': { shards: true },
  'test/verify/': { shards: true, server: true },
}

/** How a file's tests vary. */
export function variationOf(file: string): Variation {
  if (!usesTestServer(file)) return {}
  const row = Object.keys(MATRIX)
    .filter((prefix) => file.startsWith(prefix))
    .sort((a, b) => b.length - a.length)[0]
  return row === undefined ? {} : MATRIX[row]!
}

/** False for tests without a database, and for those that bring an embedded server of their own. */
export const usesTestServer = (file: string) =>
  file.endsWith('.db.test.ts') && !/^test\/(db\/embedded|cli|faults)/.test(file)

/** The rows that no test file has any more. */
export const rowsWithoutFiles = (files: readonly string[]) =>
  Object.keys(MATRIX).filter((prefix) => !files.some((file) => file.startsWith(prefix)))
