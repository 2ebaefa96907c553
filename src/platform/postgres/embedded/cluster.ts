import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Account, run } from './account.ts'
import type { Binaries } from './binaries.ts'
import { EmbeddedPostgresError } from './error.ts'
import { prepareWorkplace } from './names.ts'

/** The name of the superuser and the database of every cluster. */
export const NAME = 'tallybook'

/**
 * Ensures that the path has a complete cluster of our major version, and creates one if it is
 * empty. Refuses anything else without changing it. The caller holds the data directory's lock.
 */
export async function ensureCluster(
  cluster: string,
  binaries: Binaries,
  account: Account,
  log: (message: string) => void,
): Promise<void> {
  const half = `${cluster}.new-`
  sweep(half)
  if (existsSync(join(cluster, 'PG_VERSION'))) return checkMajor(cluster, binaries.major)
  if (existsSync(cluster) && readdirSync(cluster).length > 0) {
    throw new EmbeddedPostgresError(
      `${cluster} is not empty and not a PostgreSQL cluster: move it elsewhere, or use another ` +
        'data directory.',
    )
  }
  log(`creating a PostgreSQL ${binaries.major} cluster in ${cluster}`)
  // Created under a temporary name and renamed when complete. If killed before that, the next start
  // removes the incomplete cluster and starts over. Each temporary name is unique, because the
  // initdb of a killed start may still be writing.
  const fresh = mkdtempSync(half)
  try {
    const { path, worker, finish } = await prepareWorkplace(fresh, account)
    await initialize(path, binaries, worker)
    finish()
    renameSync(path, cluster)
    syncDirectory(dirname(cluster))
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

function checkMajor(cluster: string, major: string): void {
  const found = readFileSync(join(cluster, 'PG_VERSION'), 'utf8').trim()
  if (found === major) return
  throw new EmbeddedPostgresError(
    `The cluster in ${cluster} was made by PostgreSQL ${found}, but this version of Tallybook ` +
      `includes PostgreSQL ${major}: migrate the data with pg_upgrade or pg_dump, or go back to ` +
      'the version that made it. Nothing was changed.',
  )
}

async function initialize(path: string, binaries: Binaries, account: Account): Promise<void> {
  const initdb = await run(account, [
    binaries.initdb,
    ...['--pgdata', path, '--username', NAME, '--encoding', 'UTF8', '--locale', 'C'],
    // Any user who can enter the socket's directory may connect; others can't reach the socket.
    ...['--auth-local', 'trust', '--auth-host', 'reject', '--no-instructions'],
  ])
  if (!initdb.ok) throw failure('initdb', initdb)
  // Creates the database in single-user mode, so that the cluster is complete before it gets its
  // name. The shutdown flushes everything to disk.
  const single = await run(
    account,
    [binaries.postgres, '--single', '-D', path, 'template1'],
    `create database ${NAME}\n`,
  )
  if (!single.ok || /\b(ERROR|FATAL|PANIC):/.test(single.stderr)) {
    throw failure('create database', single)
  }
}

function failure(step: string, output: { stdout: string; stderr: string }): EmbeddedPostgresError {
  const lines = `${output.stdout}\n${output.stderr}`.trim().split('\n').slice(-12).join('\n')
  return new EmbeddedPostgresError(
    `The PostgreSQL cluster could not be created (${step}):\n${lines}`,
  )
}

function sweep(half: string): void {
  for (const name of readdirSync(dirname(half))) {
    if (!name.startsWith(basename(half))) continue
    // This may fail if a process is still writing there. A later start then removes it.
    try {
      rmSync(join(dirname(half), name), { recursive: true, force: true })
    } catch {}
  }
}

function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
