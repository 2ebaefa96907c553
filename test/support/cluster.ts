import { appendFile, chmod, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded/index.ts'
import { tryLock } from '../../src/platform/postgres/embedded/lock.ts'
import { migrate } from '../../src/platform/postgres/migrate.ts'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'

const SOURCE = join(import.meta.dir, '../../src/platform/postgres/embedded')
const PACKAGE = join(import.meta.dir, '../../package.json')

/** What is in a cluster: nothing, or the schema with one shard. */
export type ClusterContent = 'empty' | 'migrated'

/**
 * Makes a data directory with a stopped cluster: a copy of one that is made once in a run, as initdb
 * takes seconds and a copy does not.
 */
export const copyCluster = (dataDir: string, content: ClusterContent = 'empty') =>
  copyTemplate(`${content}-cluster`, (directory) => makeCluster(directory, content), dataDir)

async function makeCluster(dataDir: string, content: ClusterContent): Promise<void> {
  const server = await startEmbeddedPostgres({ dataDir, log: () => {} })
  if (content === 'migrated') {
    const owner = connectAsOwner(server)
    await migrate(owner, 1)
    await owner.end()
  }
  await server.stop()
  // Processes are killed here, but no machine loses its power. What a killed server leaves behind is
  // in its directory, and goes with it.
  const settings = 'fsync = off\ndynamic_shared_memory_type = mmap\n'
  await appendFile(join(dataDir, 'postgres/postgresql.auto.conf'), settings)
  for (const file of await readdir(dataDir)) {
    if (file !== 'postgres') await rm(join(dataDir, file))
  }
}

/**
 * Copies what `make` makes of an absent directory, at the first call in a run, to a directory that
 * is absent. The template has its name only when it is whole, so who was killed half-way leaves
 * nothing that is copied; of several test processes one makes it, and the others wait.
 */
export async function copyTemplate(
  name: string,
  make: (directory: string) => Promise<void>,
  directory: string,
): Promise<void> {
  const folder = process.env.TALLYBOOK_TEST_FOLDER
  // Outside of a run nothing is shared.
  if (folder === undefined) return make(directory)
  const template = join(folder, `${name}-${await hashSources()}`)
  // cp keeps the owner, as Bun's copy does not.
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
      // In a folder of its own, which a server's user may enter.
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

/** Of what a cluster depends on: the folder of a run may be kept for the next one. */
async function hashSources(): Promise<string> {
  const files = [join(SOURCE, 'cluster.ts'), join(SOURCE, 'settings.ts'), PACKAGE]
  const texts = await Promise.all(files.map((file) => Bun.file(file).text()))
  // Named after the code that migrates (test/runner/databases.ts).
  const schema = process.env.TALLYBOOK_TEST_TEMPLATE ?? ''
  return Bun.hash([schema, ...texts].join('\n')).toString(16)
}
