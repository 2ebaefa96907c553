import { appendFile, chmod, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded/index.ts'
import { tryLock } from '../../src/platform/postgres/embedded/lock.ts'
import { migrate } from '../../src/platform/postgres/migrate.ts'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'

const SOURCE = join(import.meta.dir, '../../src/platform/postgres/embedded')
const PACKAGE = join(import.meta.dir, '../../package.json')

/** The contents of a cluster: nothing, or the schema with one shard. */
export type ClusterContent = 'empty' | 'migrated'

/**
 * Makes a data directory with a stopped cluster, by copying one that is made once per run: initdb
 * takes seconds, a copy doesn't.
 */
export const copyCluster = (dataDir: string, content: ClusterContent = 'empty') =>
  copyTemplate(`${content}-cluster`, (directory) => makeCluster(directory, content), dataDir)

async function makeCluster(dataDir: string, content: ClusterContent): Promise<void> {
  const server = await startEmbeddedPostgres({ dataDir, log: () => {} })
  if (content === 'migrated') {
    const owner = connectAsOwner(server.address)
    await migrate(owner, 1)
    await owner.end()
  }
  await server.stop()
  // Tests kill processes, but no machine loses power, so fsync may be off. With mmap, everything
  // that a killed server leaves behind is in its directory, which is removed.
  const settings = 'fsync = off\ndynamic_shared_memory_type = mmap\n'
  await appendFile(join(dataDir, 'postgres/postgresql.auto.conf'), settings)
  for (const file of await readdir(dataDir)) {
    if (file !== 'postgres') await rm(join(dataDir, file))
  }
}

/**
 * Copies a template, which the first call in a run creates with `make`, to `directory`. Neither of
 * the two directories may exist before. The template gets its name only when it is complete, so a
 * process killed half-way leaves nothing that others copy. If several test processes race, one
 * makes the template and the others wait.
 */
export async function copyTemplate(
  name: string,
  make: (directory: string) => Promise<void>,
  directory: string,
): Promise<void> {
  const folder = process.env.TALLYBOOK_TEST_FOLDER
  // Outside a run nothing is shared.
  if (folder === undefined) return make(directory)
  const template = join(folder, `${name}-${await hashSources()}`)
  // cp preserves the owner, Bun's copy doesn't.
  const copy = () => Bun.$`cp -a --reflink=auto ${template} ${directory}`.quiet()
  const lockPath = `${template}.lock`
  for (;;) {
    if (await exists(template)) {
      await copy()
      return
    }
    const lock = tryLock(lockPath)
    if (lock === null) {
      await Bun.sleep(50)
      continue
    }
    try {
      if (await exists(template)) continue
      await rm(`${template}.new`, { recursive: true, force: true })
      // In its own folder, which the server's user may enter.
      await mkdir(`${template}.new`)
      await chmod(`${template}.new`, 0o711)
      await make(join(`${template}.new`, 'made'))
      await rename(join(`${template}.new`, 'made'), template)
      await rm(`${template}.new`, { recursive: true })
    } finally {
      lock.release()
    }
  }
}

const exists = (path: string) => Bun.file(join(path, 'postgres/PG_VERSION')).exists()

/** Hashes what a cluster depends on, because the folder of a run may be reused by the next one. */
async function hashSources(): Promise<string> {
  const files = [join(SOURCE, 'cluster.ts'), join(SOURCE, 'settings.ts'), PACKAGE]
  const texts = await Promise.all(files.map((file) => Bun.file(file).text()))
  // Named after the code that migrates (test/runner/databases.ts).
  const schema = process.env.TALLYBOOK_TEST_TEMPLATE ?? ''
  return Bun.hash([schema, ...texts].join('\n')).toString(16)
}
