/**
 * Runs the tests that need a database on a Citus cluster, with four shards: `CITUS_URL=… bun run
 * test:citus [files]`. The URL names a database of the coordinator that knows the workers; the
 * tests create their own databases next to it, on every node. Without a URL they are skipped.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EXCLUDED_FILES, EXCLUDED_TESTS } from './runner/citus-exclusions.ts'
import type { Counts } from './runner/junit.ts'
import { findTests, report, runAll } from './runner/queue.ts'
import { findNodes } from './support/citus.ts'

const SHARDS = 4

async function main(): Promise<void> {
  const url = process.env.CITUS_URL
  if (!url) {
    console.log(
      'skipped: set CITUS_URL to a Citus coordinator (docs/guides/citus.md describes the setup)',
    )
    return
  }
  const nodes = await findNodes(url)
  process.env.TALLYBOOK_TEST_SERVER = JSON.stringify({ url })
  process.env.TALLYBOOK_TEST_NODES = JSON.stringify(nodes)
  // Fewer random histories: a statement takes several times as long as on one node.
  process.env.TALLYBOOK_TEST_RUNS ??= '3'
  // Imported here because it reads the environment set above.
  const { createTemplate } = await import('./support/server.ts')
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-citus-'))
  let counts: Counts
  try {
    const files = (await findTests(process.argv.slice(2))).filter(isChosen)
    console.log(`\n# Citus, ${nodes.length} nodes, ${SHARDS} shards, ${files.length} files`)
    // Some tests use one shard, whatever the run has.
    for (const shards of [1, SHARDS]) await createTemplate(shards)
    // One at a time: each database is created on every node, and statements take longer.
    const runs = files.map((file) => ({ file, shards: SHARDS }))
    const names = allBut(EXCLUDED_TESTS)
    counts = await runAll(runs, { folder, names, workers: 1, bail: false, verbose: true })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  report(counts)
}

const isChosen = (file: string) =>
  file.endsWith('.db.test.ts') && !Object.keys(EXCLUDED_FILES).some((part) => file.startsWith(part))

/** Matches every name that contains none of these parts. */
function allBut(parts: Record<string, string>): RegExp {
  const names = Object.keys(parts).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return names.length === 0 ? /^/ : new RegExp(`^(?!.*(?:${names.join('|')}))`)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
