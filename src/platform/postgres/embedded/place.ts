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
 * Says where the cluster lies or will lie: `postgres` in the data directory, or where that link
 * points. Where root's stand-in can't enter the data directory (a project under /root), a new
 * cluster goes to /var/lib/tallybook and `postgres` becomes the link by which later starts find it.
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
  // Killed here: an empty directory stays behind, and the next start makes another.
  symlinkSync(join(home, 'postgres'), inside)
  log(
    `user ${account.name}, who runs PostgreSQL for root, can't enter ${dataDir}: ` +
      `the database goes to ${join(home, 'postgres')}`,
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
      `${link} points to ${cluster}, which is gone: bring it back, or remove the link to begin ` +
        'with an empty database.',
    )
  }
  const real = realpathSync(home)
  if (!(await canEnter(account, real))) throw closed(account, real)
  log(`${link} points to the database in ${join(real, basename(cluster))}`)
  return join(real, basename(cluster))
}

// Only passage, not reading: the keys and tokens in it have mode 0600.
function openForPassage(dataDir: string): void {
  const { mode, uid } = statSync(dataDir)
  if (uid === 0 && (mode & 0o011) !== 0o011) chmodSync(dataDir, (mode & 0o7777) | 0o011)
}

function closed(account: Account, path: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `User ${account.name}, who runs PostgreSQL, can't enter ${path}: ` +
      'open its parent directories for passage (chmod o+x), or choose another data directory.',
  )
}

// A socket's address has room for 103 bytes on macOS, 107 on Linux, `/.s.PGSQL.5432` among them.
const SOCKET_DIRECTORY_BYTES = 103 - '/.s.PGSQL.5432'.length

/**
 * Gives the directory of the socket, which nobody but the account and root can enter: the cluster
 * itself, or, where its path is too long for a socket, a directory below the system's temporary
 * one, which is then `temporary` and is to be removed at the end.
 */
export async function findSocketDirectory(
  cluster: string,
  account: Account,
): Promise<{ path: string; temporary: boolean }> {
  if (Buffer.byteLength(cluster) <= SOCKET_DIRECTORY_BYTES) {
    return { path: cluster, temporary: false }
  }
  const uid = account.switchTo?.uid ?? process.getuid?.() ?? 0
  // The same name at every start, so that a killed one leaves nothing that nobody finds again.
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
      'directory: choose a data directory with a shorter path.',
  )
}

function makePrivate(path: string, uid: number, account: Account): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error
  }
  // Anyone may have put something of that name there before us; root's is ours, from a start that
  // was killed before it gave the directory away.
  const found = lstatSync(path)
  const self = process.getuid?.()
  const owned = found.uid === uid || found.uid === self
  if (!found.isDirectory() || !owned || (found.mode & 0o077) !== 0) {
    throw new EmbeddedPostgresError(
      `${path}, where PostgreSQL's socket would go, is not a private directory of user ` +
        `${account.name}: remove it, or choose a data directory with a shorter path.`,
    )
  }
  if (account.switchTo) chownSync(path, uid, account.switchTo.gid)
}
