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

/** The superuser and the database that every cluster is made with. */
export const NAME = 'tallybook'

/**
 * Makes sure that a whole cluster of our major version lies at the path; anything else that is
 * there is refused and left as it is. The caller holds the data directory's lock.
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
      `${cluster} is not empty and not a PostgreSQL cluster: move it away, or choose another ` +
        'data directory.',
    )
  }
  log(`creating a PostgreSQL ${binaries.major} cluster in ${cluster}`)
  // Made beside its name and renamed when it is whole. Killed before that: the next start sweeps
  // the half away and begins anew. Each half has a name of its own, as the initdb of a killed
  // start may still be writing.
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
    `The cluster in ${cluster} was made by PostgreSQL ${found} and this Tallybook brings ` +
      `PostgreSQL ${major}: move the data with pg_upgrade or pg_dump, or go back to the ` +
      'Tallybook that made it. Nothing was changed.',
  )
}

async function initialize(path: string, binaries: Binaries, account: Account): Promise<void> {
  const initdb = await run(account, [
    binaries.initdb,
    ...['--pgdata', path, '--username', NAME, '--encoding', 'UTF8', '--locale', 'C'],
    // Who can enter the socket's directory is let in; nobody else comes near.
    ...['--auth-local', 'trust', '--auth-host', 'reject', '--no-instructions'],
  ])
  if (!initdb.ok) throw failure('initdb', initdb)
  // A server for one session, so that the cluster is whole before it gets its name; its shutdown
  // writes everything to disk.
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
    // A writer that is still alive may make this fail: then a later start sweeps.
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
