import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Account, nameOf, run } from './account.ts'
import { EmbeddedPostgresError } from './error.ts'

/** The place and account that create a cluster; `finish` hands it over to its own account. */
export type Workplace = { path: string; worker: Account; finish(): void }

/**
 * Prepares an empty directory for initdb, which refuses a user without a name, such as a user of a
 * container or the one that root chooses.
 *
 * Root runs initdb as a user with a name, in a group without other members, inside a directory that
 * only this group can enter, so other processes of that user have no access. An ordinary user gets
 * a temporary name from libnss_wrapper if that is installed. Otherwise throws EmbeddedPostgresError
 * with what to do instead.
 */
export async function prepareWorkplace(empty: string, account: Account): Promise<Workplace> {
  const path = join(empty, 'cluster')
  mkdirSync(path, { mode: 0o700 })
  const { switchTo } = account
  if (switchTo === undefined) {
    return { path, worker: await nameSelf(empty, account), finish: () => {} }
  }
  const uid = (await nameOf(switchTo.uid)) === null ? findNamedUser() : switchTo.uid
  chownSync(empty, 0, switchTo.gid)
  chmodSync(empty, 0o710)
  chownSync(path, uid, switchTo.gid)
  const worker = { name: account.name, switchTo: { uid, gid: switchTo.gid } }
  return { path, worker, finish: () => giveTo(path, switchTo) }
}

/** Changes the owner of everything in a directory, and last of the directory. Follows no links. */
export function giveTo(directory: string, { uid, gid }: { uid: number; gid: number }): void {
  const entries = readdirSync(directory).map((name) => join(directory, name))
  const { success, stderr } = Bun.spawnSync(['chown', '-RhP', `${uid}:${gid}`, ...entries])
  if (!success) {
    throw new EmbeddedPostgresError(
      `The owner of ${directory} could not be changed to user ${uid}: ${stderr.toString().trim()}`,
    )
  }
  chownSync(directory, uid, gid)
}

// root:x:0:0:root:/root:/bin/bash
function findNamedUser(): number {
  const uids = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => Number(line.split(':')[2]))
  const uid = uids.find((candidate) => candidate > 0)
  if (uid !== undefined) return uid
  throw new EmbeddedPostgresError(
    'initdb refuses to run as root, and /etc/passwd has no other user: add one, or set ' +
      'DATABASE_URL.',
  )
}

/** The paths on Debian, Fedora and Alpine. */
const WRAPPERS = [
  `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libnss_wrapper.so`,
  '/usr/lib64/libnss_wrapper.so',
  '/usr/lib/libnss_wrapper.so',
]

async function nameSelf(empty: string, account: Account): Promise<Account> {
  const uid = process.getuid?.() ?? -1
  if ((await nameOf(uid)) !== null) return account
  for (const env of namings(empty, uid)) {
    const named = { ...account, env }
    if ((await run(named, ['id', '-nu'])).ok) return named
  }
  throw new EmbeddedPostgresError(
    `This process runs as user ${uid}, which has no name here, but initdb requires one: ` +
      'add the user to /etc/passwd, install libnss-wrapper (it is used automatically), or set ' +
      'DATABASE_URL.',
  )
}

/** Returns environments that may give a user a name: our own wrapper settings, or new ones. */
function namings(empty: string, uid: number): Record<string, string>[] {
  const { LD_PRELOAD, NSS_WRAPPER_PASSWD, NSS_WRAPPER_GROUP } = process.env
  const given =
    LD_PRELOAD && NSS_WRAPPER_PASSWD && NSS_WRAPPER_GROUP
      ? [{ LD_PRELOAD, NSS_WRAPPER_PASSWD, NSS_WRAPPER_GROUP }]
      : []
  const passwd = join(empty, 'passwd')
  writeFileSync(passwd, `tallybook:x:${uid}:${process.getgid?.() ?? 0}::/:/bin/false\n`)
  const group = join(empty, 'group')
  writeFileSync(group, '')
  const own = WRAPPERS.filter((path) => existsSync(path)).map((path) => ({
    ...{ LD_PRELOAD: path, NSS_WRAPPER_PASSWD: passwd, NSS_WRAPPER_GROUP: group },
  }))
  return [...given, ...own]
}
