import { Database } from 'bun:sqlite'
import {
  chmodSync,
  chownSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { DataDirInUse, explain } from './error.ts'

/** A held lock; the kernel takes it back when this process ends, however it ends. */
export type Lock = { release(): void }

type Holder = { pid: number; since: string }

// Owner of the open files: collecting one as garbage would give its lock away.
const held = new Set<Database>()

/**
 * Takes the lock file for this process, or throws DataDirInUse, which says who has it. Of any
 * number of simultaneous starters exactly one gets it.
 */
export async function acquireLock(path: string): Promise<Lock> {
  const lock = tryLock(path)
  if (lock === null) throw await refusal(path)
  writeHolder(path)
  return {
    release() {
      rmSync(holderPath(path), { force: true })
      lock.release()
    },
  }
}

/**
 * Takes the lock file, or gives null while another has it.
 *
 * It is the kernel's own record lock, taken by SQLite on an empty file that is never written. A
 * file with a pid in it was rejected: seeing that it is stale and replacing it are two steps, and
 * two starters can both take them. This lock is never stale, so there is nothing to take over.
 */
export function tryLock(path: string): Lock | null {
  let database: Database | undefined
  try {
    database = new Database(path, { create: true })
    // IMMEDIATE takes the one write lock, without waiting for readers as EXCLUSIVE would.
    database.run('begin immediate')
    leaveToOwner(path)
  } catch (error) {
    database?.close()
    if ((error as { code?: string }).code === 'SQLITE_BUSY') return null
    throw explain(error, `The lock file ${path} can't be used`)
  }
  const handle = database
  held.add(handle)
  return {
    release() {
      if (held.delete(handle)) handle.close()
    },
  }
}

// The holder's name stands in a file of its own, as reading the locked one would drop the lock
// (POSIX: closing any descriptor of a file does). It serves the sentence below and nothing else.
// {"pid":4711,"since":"2026-01-31T09:00:00.000Z"}
function writeHolder(path: string): void {
  const holder: Holder = { pid: process.pid, since: new Date().toISOString() }
  const fresh = `${holderPath(path)}.new`
  writeFileSync(fresh, `${JSON.stringify(holder)}\n`)
  renameSync(fresh, holderPath(path))
}

async function refusal(path: string): Promise<DataDirInUse> {
  const holder = await readHolder(path)
  const who = holder === null ? '' : ` (pid ${holder.pid}, since ${holder.since})`
  return new DataDirInUse(
    `Another Tallybook${who} already uses the data directory ${dirname(path)}: ` +
      'stop it first, or choose another data directory.',
  )
}

// A holder that has just taken the lock may not have written its name yet: 20 looks 25 ms apart.
async function readHolder(path: string): Promise<Holder | null> {
  for (let poll = 0; poll < 20; poll++) {
    try {
      const holder = JSON.parse(readFileSync(holderPath(path), 'utf8')) as Holder
      if (isAlive(holder.pid)) return holder
    } catch {}
    await Bun.sleep(25)
  }
  return null
}

// Nobody else may open it, and root must not lock the directory's owner out of his later starts.
function leaveToOwner(path: string): void {
  chmodSync(path, 0o600)
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(dirname(path))
  chownSync(path, uid, gid)
}

function holderPath(path: string): string {
  return `${path}.holder`
}

/** Tells whether a process with this pid exists (a zombie counts). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM'
  }
}
