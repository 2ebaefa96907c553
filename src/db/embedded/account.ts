import { EmbeddedPostgresError } from './error.ts'

/** The operating-system user that initdb and postgres run as; without `switchTo` it is our own. */
export type Account = { name: string; switchTo?: { uid: number; gid: number } }

type Finished = { ok: boolean; stdout: string; stderr: string }

/**
 * Chooses the account: PostgreSQL refuses to run as root, so root hands it to the owner of the
 * cluster if there is one, else to `postgres`, else to `nobody`. An ordinary user runs it himself.
 */
export async function chooseAccount(
  cluster: { path: string; uid: number; gid: number } | null,
): Promise<Account> {
  const self = process.getuid?.() ?? -1
  if (self !== 0) {
    if (cluster !== null && cluster.uid !== self) {
      throw new EmbeddedPostgresError(
        `The cluster in ${cluster.path} belongs to user ${await nameOf(cluster.uid)}: ` +
          'start Tallybook as that user or as root, or choose another data directory.',
      )
    }
    return { name: await nameOf(self) }
  }
  if (cluster !== null) {
    if (cluster.uid === 0) {
      throw new EmbeddedPostgresError(
        `The cluster in ${cluster.path} belongs to root, and PostgreSQL refuses to run as root: ` +
          'give it to another user (chown -R).',
      )
    }
    return { name: await nameOf(cluster.uid), switchTo: { uid: cluster.uid, gid: cluster.gid } }
  }
  for (const name of ['postgres', 'nobody']) {
    const uid = await idOf('-u', name)
    const gid = await idOf('-g', name)
    if (uid && gid !== null) return { name, switchTo: { uid, gid } }
  }
  throw new EmbeddedPostgresError(
    'PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user ' +
      'nobody: start Tallybook as an ordinary user, or set DATABASE_URL.',
  )
}

/** Runs a command to its end as the account; what can't be started at all is a failed run too. */
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
    // No such file, not executable, or no right to become that user.
    return { ok: false, stdout: '', stderr: error instanceof Error ? error.message : String(error) }
  }
}

/** What every child gets: its user, its own session, and nothing of our environment. */
export function spawnOptions(account: Account) {
  return {
    // Bun drops the supplementary groups too, and --no-orphans reaches a child of another user.
    ...account.switchTo,
    // Ctrl-C signals the terminal's whole process group: PostgreSQL must not be in it.
    detached: true,
    cwd: '/',
    // PGPORT, PGOPTIONS, LD_LIBRARY_PATH or a foreign locale must not reach the server.
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  }
}

/** Tells whether the account can enter a directory through all its parents (asks the kernel). */
export async function canEnter(account: Account, directory: string): Promise<boolean> {
  return (await run(account, ['/bin/sh', '-c', 'cd -- "$1"', 'sh', directory])).ok
}

async function idOf(flag: '-u' | '-g', name: string): Promise<number | null> {
  const { ok, stdout } = await run({ name: 'self' }, ['id', flag, name])
  return ok ? Number(stdout) : null
}

async function nameOf(uid: number): Promise<string> {
  const { ok, stdout } = await run({ name: 'self' }, ['id', '-nu', String(uid)])
  return ok ? stdout.trim() : String(uid)
}
