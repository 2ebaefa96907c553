/**
 * What tests depend on besides the code. Each row of the matrix is for a folder or a file; the
 * longest matching prefix applies. A file without a row runs once, with one shard, on the run's
 * server.
 */
type Variation = {
  /**
   * The numbers of shards to run with. Several shards are the general case, so 2 alone are enough
   * for code that treats all shards alike; 1 and 4 are for code that behaves differently with one.
   */
  shards?: readonly number[]
  /** True if the tests work with these numbers only, which `bun run test:all` then keeps. */
  only?: boolean
  /** True to run on the oldest supported version of PostgreSQL too. */
  server?: boolean
}

const BOTH = [1, 4]
const MANY = [4]
const TWO = [2]
const ONE = [1]

// With only one shard, flushes are routed (src/log/log.ts, src/events/shard-of-key.ts) and shards
// are shared among instances differently. Most services in tests have one.
const MATRIX: Record<string, Variation> = {
  'test/archive/': { server: true },
  'test/archive/reshard-proof': { shards: MANY, server: true },
  'test/archive/round-trip': { shards: TWO, server: true },
  'test/proofs/attestations/': { shards: TWO },
  'test/proofs/verifier/audit': { shards: TWO },
  'test/platform/postgres/': { server: true },
  'test/segments/': { shards: TWO, server: true },
  'test/segments/killed': { shards: TWO },
  // Their databases have one shard.
  'test/segments/packing': { server: true },
  'test/segments/import': { server: true },
  'test/platform/postgres/connection/': {},
  'test/platform/postgres/connection/pgbouncer': { server: true },
  'test/platform/postgres/migrate': { shards: MANY, server: true },
  'test/platform/postgres/rolling-upgrade': { shards: MANY, server: true },
  'test/http/answer-time': { shards: TWO },
  'test/http/as-of': { shards: TWO },
  'test/http/audit.db': { shards: TWO },
  'test/http/audit-stream': { shards: TWO },
  'test/http/counted-at': { shards: BOTH },
  'test/http/explain': { shards: TWO },
  'test/http/subscription.db': { shards: TWO },
  'test/http/newest-first': { shards: TWO },
  'test/http/reads': { shards: TWO },
  'test/http/sparse-events': { shards: TWO },
  'test/http/transparency': { shards: MANY },
  'test/http/usage': { shards: TWO },
  'test/bookkeeping/': { shards: TWO },
  'test/move-in/compare': { shards: TWO },
  // Flushes and acts wait for each other if there is one shard.
  'test/bookkeeping/concurrent': { shards: BOTH },
  'test/bookkeeping/large': {},
  'test/bookkeeping/log-scan': {},
  'test/bookkeeping/repeated-acts': {},
  // One shard has more unknown keys than it keeps apart; another one has not.
  'test/bookkeeping/unlisted': { shards: TWO, only: true },
  'test/rollups/forget-unknown': { shards: TWO, only: true },
  'test/quota/': { shards: TWO },
  'test/quota/catalog': { server: true },
  'test/quota/reshard': {},
  'test/cluster/': { shards: BOTH },
  'test/cluster/replicas/': {},
  'test/cluster/lost-commits': { shards: TWO },
  'test/log/': { shards: MANY, server: true },
  'test/log/ahead': {},
  'test/log/catalog/': {},
  'test/log/append.db': { shards: BOTH, server: true },
  'test/subscriptions/': { shards: MANY, server: true },
  'test/read-model/projector/': { shards: TWO, server: true },
  'test/read-model/queries/': { shards: TWO },
  'test/registration/': { shards: BOTH, server: true },
  'test/property/': { shards: TWO },
  'test/property/times': { shards: ONE, server: true },
  'test/cluster/replicas/reads': { shards: TWO },
  'test/proofs/transparency/': { shards: MANY },
  'test/proofs/transparency/integrate': { shards: MANY, server: true },
  // Every shard is checked in the same way and adds to the run time, so two are enough.
  'test/proofs/integrity/': { shards: TWO },
  'test/proofs/integrity/scheduled/': {},
  'test/proofs/integrity/late-flushes': { shards: ONE },
  'test/proofs/integrity/damaged-log': { shards: ONE },
  'test/proofs/integrity/single-value-corruption': { shards: ONE },
  'test/proofs/integrity/intact-database': { shards: TWO, server: true },
  'test/proofs/integrity/payload-readers': { shards: TWO, server: true },
}

/** Returns the variation of a file's tests. */
export function variationOf(file: string): Variation {
  if (!usesTestServer(file)) return {}
  const row = Object.keys(MATRIX)
    .filter((prefix) => file.startsWith(prefix))
    .sort((a, b) => b.length - a.length)[0]
  return row === undefined ? {} : MATRIX[row]!
}

/** False for tests without a database, and for those that start their own embedded server. */
export const usesTestServer = (file: string) =>
  file.endsWith('.db.test.ts') && !/^test\/(platform\/postgres\/embedded|cli|dev|faults)/.test(file)

/**
 * Files that take long for what they find alone: each is 1 % of a complete run, or more. They are
 * about processes that are killed, moves to other numbers of shards, and very long logs.
 */
const LONG = [
  'test/archive/reshard.db',
  'test/bookkeeping/large',
  'test/bookkeeping/long-log',
  'test/bookkeeping/unlisted-keys',
  'test/cluster/lost-commits',
  'test/faults/failover',
  'test/faults/network.',
  'test/faults/recovery-drill',
  'test/move-in/books',
  'test/proofs/transparency/tile-levels',
  'test/read-model/projector/thin-snapshots',
  'test/retention/histories',
  'test/retention/killed',
  'test/rollups/killed',
  'test/rollups/roll-up',
  'test/segments/killed',
]

/** Files with tests that need other programs or languages. */
const WITH_PROGRAMS = [
  'test/clients/',
  'test/collect/senders/',
  'test/console/',
  'test/deploy/',
  'test/http/proxies.',
  'test/independent/',
  'test/move-in/new-api',
  'test/move-in/old-database',
  'test/retention/s3-servers',
  'test/segment-files/s3-servers',
]

const startsWithOne = (prefixes: readonly string[]) => (file: string) =>
  prefixes.some((prefix) => file.startsWith(prefix))

/** True for files that a complete run leaves to `bun run test --extended`. */
export const isLong = startsWithOne(LONG)

/** True for files of which a complete run leaves at least a test to `bun run test --extended`. */
export const isLeftOut = startsWithOne([...LONG, ...WITH_PROGRAMS])

/** Returns the rows that match no test file. */
export const rowsWithoutFiles = (files: readonly string[]) =>
  [...Object.keys(MATRIX), ...LONG, ...WITH_PROGRAMS].filter(
    (prefix) => !files.some((file) => file.startsWith(prefix)),
  )
