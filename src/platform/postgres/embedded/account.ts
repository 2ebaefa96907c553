import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { EmbeddedPostgresError } from './error.ts'

/** The operating system user that runs postgres; without `switchTo` it is our own. */
export type Account = {
  name: string
  switchTo?: { uid: number; gid: number }
  /** Environment variables that its programs need. */
  env?: Record<string, string>
}

/** The path of a cluster, its owner, and the owner of its parent directory. */
export type Owned = { path: string; uid: number; gid: number; parentUid: number }

type Finished = { ok: boolean; stdout: string; stderr: string }

/**
 * Chooses the account. PostgreSQL refuses to run as root, so root runs it as the owner of the
 * cluster if there is one, otherwise as a dedicated user ID without a name that no one else has. An
 * ordinary user runs it as themselves.
 *
 * Older versions created clusters in a directory of root that belong to a shared system account.
 * Such a cluster moves to a dedicated user too, because any process of that account could connect.
 */
export async function chooseAccount(cluster: Owned | null): Promise<Account> {
  const self = process.getuid?.() ?? -1
  if (self !== 0) {
    if (cluster !== null && cluster.uid !== self) {
      throw new EmbeddedPostgresError(
        `The cluster in ${cluster.path} belongs to user ${await describe(cluster.uid)}: ` +
          'start Tallybook as that user or as root, or use another data directory.',
      )
    }
    return { name: await describe(self) }
  }
  if (cluster === null) return makeAccount()
  if (cluster.uid === 0) {
    throw new EmbeddedPostgresError(
      `The cluster in ${cluster.path} belongs to root, and PostgreSQL refuses to run as root: ` +
        'change its owner to another user (chown -R).',
    )
  }
  const name = await describe(cluster.uid)
  if (cluster.parentUid === 0 && SHARED_ACCOUNTS.includes(name)) return makeAccount()
  return { name, switchTo: { uid: cluster.uid, gid: cluster.gid } }
}

/** Accounts that unrelated programs share. */
const SHARED_ACCOUNTS = ['postgres', 'nobody']

/** systemd's range for dynamic users, above the user IDs of people and packages. */
const OWN_UIDS = { from: 61_184, through: 65_519 }
const TRIES = 100

/** Returns an account with an unused user ID. It needs no entry in /etc/passwd. */
async function makeAccount(): Promise<Account> {
  for (let tries = 0; tries < TRIES; tries++) {
    const uid = randomInt(OWN_UIDS.from, OWN_UIDS.through + 1)
    if (existsSync(`/run/systemd/dynamic-uid/${uid}`) || (await nameOf(uid)) !== null) continue
    const account = { name: String(uid), switchTo: { uid, gid: uid } }
    if ((await run(account, ['/bin/sh', '-c', ':'])).ok) return account
  }
  throw new EmbeddedPostgresError(
    'PostgreSQL refuses to run as root, and root can not switch to another user here: start ' +
      'Tallybook as an ordinary user, or set DATABASE_URL.',
  )
}

/** Runs a command to its end as the account. A command that can't be started counts as failed. */
export async function run(account: Account, command: string[], stdin = ''): Promise<Finished> {
  try {
    const child = Bun.spawn(command, {
      ...spawnOptions(account),
      stdin: Buffer.from(stdin),
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [code, stdout, stderr] = await Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ])
    return { ok: code === 0, stdout, stderr }
  } catch (error) {
    // No such file, not executable, or no permission to switch to that user.
    return { ok: false, stdout: '', stderr: error instanceof Error ? error.message : String(error) }
  }
}

/** Spawn options of every child: its user, its own session, and a clean environment. */
export function spawnOptions(account: Account) {
  return {
    // Bun drops the supplementary groups too, and --no-orphans reaches a child of another user.
    ...account.switchTo,
    // Ctrl-C signals the terminal's whole process group: PostgreSQL must not be in it.
    detached: true,
    cwd: '/',
    // PGPORT, PGOPTIONS, LD_LIBRARY_PATH or a foreign locale must not reach the server.
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...account.env },
  }
}

/** True if the account can enter a directory through all its parents. Asks the kernel. */
export async function canEnter(account: Account, directory: string): Promise<boolean> {
  return (await run(account, ['/bin/sh', '-c', 'cd -- "$1"', 'sh', directory])).ok
}

/** Returns the name of a user ID, or null if it has none. */
export async function nameOf(uid: number): Promise<string | null> {
  const { ok, stdout } = await run({ name: 'self' }, ['id', '-nu', String(uid)])
  return ok && stdout.trim() !== String(uid) ? stdout.trim() : null
}

const describe = async (uid: number) => (await nameOf(uid)) ?? String(uid)
