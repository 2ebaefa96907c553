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

/** A held lock. The kernel releases it when this process ends for any reason. */
export type Lock = { release(): void }

type Holder = { pid: number; since: string }

// Keeps the open files referenced: garbage collection of one would release its lock.
const held = new Set<Database>()

/**
 * Acquires the lock file, or throws DataDirInUse with the process that holds it. If several
 * processes start at once, exactly one gets the lock.
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
 * Acquires the lock file. Returns null if another process holds it.
 *
 * SQLite takes the kernel's record lock on an empty file that is never written. A file with a pid
 * was rejected: detecting that it is stale and replacing it are two steps, and two processes can
 * both take them. This lock is never stale, so there is nothing to take over.
 */
export function tryLock(path: string): Lock | null {
  let database: Database | undefined
  try {
    database = new Database(path, { create: true })
    // IMMEDIATE takes the write lock without waiting for readers, unlike EXCLUSIVE.
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

// The holder is recorded in a separate file, because reading the locked one would release the lock
// (POSIX: closing any descriptor of a file does). Only the message below uses it.
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
    `Another Tallybook process${who} is using the data directory ${dirname(path)}: ` +
      'stop it first, or use another data directory.',
  )
}

// A process that has just taken the lock may not have recorded itself yet: 20 polls 25 ms apart.
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

// No other user may open it, and root must not lock out the directory's owner from later starts.
function leaveToOwner(path: string): void {
  chmodSync(path, 0o600)
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(dirname(path))
  chownSync(path, uid, gid)
}

function holderPath(path: string): string {
  return `${path}.holder`
}

/** True if a process with this pid exists (a zombie counts). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM'
  }
}
