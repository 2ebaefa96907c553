import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  realpathSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { type Account, canEnter } from './account.ts'
import { SHARED_PLACE } from './binaries.ts'
import { EmbeddedPostgresError } from './error.ts'

/**
 * Returns the path of the cluster, existing or not: `postgres` in the data directory, or the target
 * of that link. If the account that runs PostgreSQL for root can't enter the data directory (a
 * project under /root), a new cluster goes to /var/lib/tallybook, and `postgres` becomes a link to
 * it for later starts.
 */
export async function findPlace(
  dataDir: string,
  account: Account,
  log: (message: string) => void,
): Promise<string> {
  const inside = join(dataDir, 'postgres')
  const found = lstatSync(inside, { throwIfNoEntry: false })
  if (found?.isSymbolicLink()) return followLink(inside, account, log)
  if (account.switchTo === undefined) return inside
  openForPassage(dataDir)
  if (await canEnter(account, dataDir)) return inside
  if (found !== undefined) throw closed(account, inside)

  mkdirSync(SHARED_PLACE, { recursive: true, mode: 0o755 })
  const project = basename(dirname(dataDir)) || 'data'
  const home = mkdtempSync(join(SHARED_PLACE, `${project}-`))
  chmodSync(home, 0o711)
  if (!(await canEnter(account, home))) throw closed(account, home)
  // If killed here, an empty directory remains, and the next start creates another.
  symlinkSync(join(home, 'postgres'), inside)
  log(
    `user ${account.name}, which runs PostgreSQL for root, can't enter ${dataDir}: ` +
      `creating the database in ${join(home, 'postgres')}`,
  )
  return join(home, 'postgres')
}

async function followLink(
  link: string,
  account: Account,
  log: (message: string) => void,
): Promise<string> {
  const cluster = readlinkSync(link)
  const home = dirname(join(cluster.startsWith('/') ? '' : dirname(link), cluster))
  if (!statSync(home, { throwIfNoEntry: false })) {
    throw new EmbeddedPostgresError(
      `${link} points to ${cluster}, which is missing: restore it, or remove the link to start ` +
        'with an empty database.',
    )
  }
  const real = realpathSync(home)
  if (!(await canEnter(account, real))) throw closed(account, real)
  log(`${link} points to the database in ${join(real, basename(cluster))}`)
  return join(real, basename(cluster))
}

// Allows other users to pass through but not to list. The keys and tokens inside have mode 0600.
function openForPassage(dataDir: string): void {
  const { mode, uid } = statSync(dataDir)
  if (uid === 0 && (mode & 0o011) !== 0o011) chmodSync(dataDir, (mode & 0o7777) | 0o011)
}

function closed(account: Account, path: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `User ${account.name}, which runs PostgreSQL, can't enter ${path}: ` +
      'make its parent directories accessible (chmod o+x), or use another data directory.',
  )
}

// A socket's path has at most 103 bytes on macOS, 107 on Linux, including `/.s.PGSQL.5432`.
const SOCKET_DIRECTORY_BYTES = 103 - '/.s.PGSQL.5432'.length

/**
 * Returns the directory for the socket, which only the account and root can enter. It is the
 * cluster, or, if that path is too long for a socket, a directory in the system's temporary one. In
 * that case it is `temporary`, and the caller must remove it at the end.
 */
export async function findSocketDirectory(
  cluster: string,
  account: Account,
): Promise<{ path: string; temporary: boolean }> {
  if (Buffer.byteLength(cluster) <= SOCKET_DIRECTORY_BYTES) {
    return { path: cluster, temporary: false }
  }
  const uid = account.switchTo?.uid ?? process.getuid?.() ?? 0
  // The name is the same at every start, so that a start reuses what a killed one left.
  const hash = createHash('sha256').update(cluster).digest('hex').slice(0, 12)
  for (const parent of [tmpdir(), '/tmp']) {
    const path = join(parent, `tallybook-${uid}-${hash}`)
    if (Buffer.byteLength(path) > SOCKET_DIRECTORY_BYTES) continue
    if (!(await canEnter(account, parent))) continue
    makePrivate(path, uid, account)
    return { path, temporary: true }
  }
  throw new EmbeddedPostgresError(
    `The path ${cluster} is too long for a unix socket, and there is no shorter temporary ` +
      'directory: use a data directory with a shorter path.',
  )
}

function makePrivate(path: string, uid: number, account: Account): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error
  }
  // Another user may have created something under that name. One that we own ourselves (root) is
  // from a start that was killed before it changed the owner.
  const found = lstatSync(path)
  const self = process.getuid?.()
  const owned = found.uid === uid || found.uid === self
  if (!found.isDirectory() || !owned || (found.mode & 0o077) !== 0) {
    throw new EmbeddedPostgresError(
      `${path}, needed for PostgreSQL's socket, is not a private directory of user ` +
        `${account.name}: remove it, or use a data directory with a shorter path.`,
    )
  }
  if (account.switchTo) chownSync(path, uid, account.switchTo.gid)
}
