/**
 * Runs the tests on a real PostgreSQL: the embedded one in a temporary directory, or the server of
 * TEST_DATABASE_URL. `bun run test [--shards N] [files]`. Everything runs with one shard, and what
 * needs a database once more with four; with `--shards` only that, and with so many. Ends with
 * `N passed, N failed`.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '../src/db/embedded/index.ts'
import { connectAsOwner, type ServerAddress } from '../src/db/pool.ts'
import { add, type Counts, findTests, report, runFiles } from './support/run-files.ts'
import { createTemplate } from './support/server.ts'

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-test-'))
  // As root the server runs as another user, who must be able to enter.
  await chmod(folder, 0o711)
  const external = process.env.TEST_DATABASE_URL
  const embedded = external
    ? null
    : await startEmbeddedPostgres({ dataDir: join(folder, 'server'), log: () => {} })
  process.env.TALLYBOOK_TEST_SERVER = JSON.stringify(embedded ?? { url: external })
  // Thrown away after the run: cloning a database takes 30 ms without fsync, 400 ms with.
  if (embedded) await turnOffFsync(embedded)
  let counts: Counts = { passed: 0, failed: 0, skipped: 0, failures: [] }
  try {
    const { values, positionals } = parseArgs({
      options: { shards: { type: 'string' } },
      allowPositionals: true,
    })
    const files = await findTests(positionals)
    for (const shards of values.shards ? [Number(values.shards)] : [1, 4]) {
      const isAll = shards === 1 && !values.shards
      const chosen = isAll ? files : files.filter((file) => needsShards(file))
      if (chosen.length === 0) continue
      console.log(`\n# ${shards} shard(s), ${chosen.length} files`)
      // Some tests are of one shard.
      for (const template of new Set([1, shards])) await createTemplate(template)
      counts = add(counts, await runFiles(chosen, shards, join(folder, `junit-${shards}.xml`)))
    }
  } finally {
    await embedded?.stop()
    await rm(folder, { recursive: true, force: true })
  }
  report(counts)
}

async function turnOffFsync(address: ServerAddress): Promise<void> {
  const owner = connectAsOwner(address)
  await owner`alter system set fsync = off`
  await owner`select pg_reload_conf()`
  await owner.end()
}

/** Tests of the embedded server and of the command line bring a database of their own. */
const needsShards = (file: string) =>
  file.endsWith('.db.test.ts') && !/^test\/(db\/embedded|cli|faults)/.test(file)

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
