/**
 * Runs the tests that need a database on a Citus cluster, with four shards: `CITUS_URL=… bun run
 * test:citus [files]`. The URL is of a database of the coordinator that knows the workers; the tests
 * make databases of their own beside it, on every node. Skipped where there is no URL.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Counts } from './runner/junit.ts'
import { findTests, report, runAll } from './runner/queue.ts'
import { findNodes } from './support/citus.ts'

const SHARDS = 4

/** Files that are left out, and why. */
const NOT_FILES: Record<string, string> = {
  'test/cli/': 'brings an embedded server',
  'test/platform/postgres/embedded': 'brings an embedded server',
  'test/faults/': 'brings an embedded server, and breaks it',
  'test/proofs/integrity/single-value-corruption.db':
    "changes rows by statements that Citus has nobody run, a row's shard",
  'test/log/overtaken.db':
    'a trigger says what a moving shard says there: test/platform/postgres/citus-moves.db',
  'test/console/': 'is about what a browser makes of routes that test/http has',
}

/** Tests that are left out by a part of their name, and why. */
const NOT_TESTS: Record<string, string> = {
  'to which another adds meanwhile': 'by a function that workers would not have',
  'its role has no rights of its own': 'the role signs in to workers there',
  'the migrations make sql/schema.sql': 'rights on columns of tiles are of the whole table there',
}

async function main(): Promise<void> {
  const url = process.env.CITUS_URL
  if (!url) {
    console.log(
      'skipped: CITUS_URL names no Citus coordinator (docs/guides/citus.md says how to have one)',
    )
    return
  }
  const nodes = await findNodes(url)
  process.env.TALLYBOOK_TEST_SERVER = JSON.stringify({ url })
  process.env.TALLYBOOK_TEST_NODES = JSON.stringify(nodes)
  // Histories at random: a statement takes several times as long as on one node.
  process.env.TALLYBOOK_TEST_RUNS ??= '3'
  // From here on: they read what was just said.
  const { createTemplate } = await import('./support/server.ts')
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-citus-'))
  let counts: Counts
  try {
    const files = (await findTests(process.argv.slice(2))).filter(isChosen)
    console.log(`\n# Citus, ${nodes.length} nodes, ${SHARDS} shards, ${files.length} files`)
    // Some tests are of one shard.
    for (const shards of [1, SHARDS]) await createTemplate(shards)
    // One after the other: a database is made on every node, and statements take longer.
    const runs = files.map((file) => ({ file, shards: SHARDS }))
    const names = allBut(NOT_TESTS)
    counts = await runAll(runs, { folder, names, workers: 1, bail: false, verbose: true })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  report(counts)
}

const isChosen = (file: string) =>
  file.endsWith('.db.test.ts') && !Object.keys(NOT_FILES).some((part) => file.startsWith(part))

/** Finds every name that has none of these parts. */
function allBut(parts: Record<string, string>): RegExp {
  const names = Object.keys(parts).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return names.length === 0 ? /^/ : new RegExp(`^(?!.*(?:${names.join('|')}))`)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
