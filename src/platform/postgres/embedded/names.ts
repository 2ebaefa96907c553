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

/** Where a cluster is made, and by whom; `finish` gives it to its account. */
export type Workplace = { path: string; worker: Account; finish(): void }

/**
 * Prepares an empty directory for initdb, which refuses a user without a name, as one of a
 * container or of root's choice may be.
 *
 * Root has it done by a user with a name, in a group that nobody else is in, behind a directory
 * that only this group can pass: nobody else of that name comes near. An ordinary user gets a name
 * for as long as it takes, by libnss_wrapper where that is installed. Throws EmbeddedPostgresError
 * that says what else to do.
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

/** Gives all below a directory, and at last the directory, to a user. Follows no links. */
export function giveTo(directory: string, { uid, gid }: { uid: number; gid: number }): void {
  const entries = readdirSync(directory).map((name) => join(directory, name))
  const { success, stderr } = Bun.spawnSync(['chown', '-RhP', `${uid}:${gid}`, ...entries])
  if (!success) {
    throw new EmbeddedPostgresError(
      `${directory} could not be given to user ${uid}: ${stderr.toString().trim()}`,
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
    'PostgreSQL refuses to be set up by root, and /etc/passwd has no other user: add one, or set ' +
      'DATABASE_URL.',
  )
}

/** As Debian, Fedora and Alpine have it. */
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
    `This process runs as user ${uid}, who has no name here, and PostgreSQL is not set up ` +
      'without one: add the user to /etc/passwd, install libnss-wrapper, which is then used by ' +
      'itself, or set DATABASE_URL.',
  )
}

/** What may give a user a name: what this process was started with, or a file of ours. */
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
