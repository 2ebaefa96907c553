import fs from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setInterval } from 'node:timers'
import { writeDurably } from './files.ts'

type Holder = { pid: number; host: string; epoch: string }

const TOUCH_INTERVAL_MS = 5_000
const STALE_MS = 60_000

/** The epochs of the locks of this process. */
const ownEpochs = new Set<string>()

/** The exclusive use of a spool directory by one client. */
export class Lock {
  readonly #path: string
  readonly #text: string
  readonly #epoch: string
  readonly #timer: NodeJS.Timeout

  private constructor(path: string, text: string, epoch: string) {
    this.#path = path
    this.#text = text
    this.#epoch = epoch
    this.#timer = setInterval(() => {
      const now = new Date()
      fs.utimes(path, now, now).catch(() => {})
    }, TOUCH_INTERVAL_MS)
    this.#timer.unref()
  }

  /** Takes the lock, also from a process that has died. Throws if another process has it. */
  static async take(directory: string, epoch: string): Promise<Lock> {
    const path = join(directory, 'lock')
    const own = join(directory, `lock.${epoch}.tmp`)
    const text = JSON.stringify({ pid: process.pid, host: hostname(), epoch } satisfies Holder)
    await writeDurably(own, text)
    ownEpochs.add(epoch)
    try {
      if (!(await linked(own, path))) {
        await removeStale(path, `${path}.${epoch}.stale.tmp`)
        if (!(await linked(own, path))) throw new Error(`Another client uses the spool ${path}.`)
      }
      return new Lock(path, text, epoch)
    } catch (error) {
      ownEpochs.delete(epoch)
      throw error
    } finally {
      await fs.rm(own, { force: true })
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#timer)
    const text = await fs.readFile(this.#path, 'utf8').catch(() => null)
    if (text === this.#text) await fs.rm(this.#path, { force: true })
    ownEpochs.delete(this.#epoch)
  }
}

/** Creates a file under another name too; false if that name is taken. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await fs.link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Removes a lock whose process has died. Throws if it lives. */
async function removeStale(path: string, aside: string): Promise<void> {
  const text = await fs.readFile(path, 'utf8').catch(() => null)
  if (text === null) return
  const { mtimeMs } = await fs.stat(path)
  if (!isStale(text, mtimeMs)) throw new Error(`Another client uses the spool: ${path} ${text}.`)
  // Two processes may find the same stale lock. A rename moves whatever is there by then, so the
  // lock that the other one has created in between is put back.
  await fs.rename(path, aside).catch(() => {})
  const moved = await fs.readFile(aside, 'utf8').catch(() => null)
  if (moved !== null && moved !== text) await fs.link(aside, path).catch(() => {})
  await fs.rm(aside, { force: true })
}

function isStale(text: string, touchedMs: number): boolean {
  if (Date.now() - touchedMs > STALE_MS) return true
  const holder = parseHolder(text)
  // Of a torn lock, and of one of another host, only the age can be known.
  if (holder?.host !== hostname()) return false
  return holder.pid === process.pid ? !ownEpochs.has(holder.epoch) : !isRunning(holder.pid)
}

/** Reads a lock; null if it was torn by a power failure. */
function parseHolder(text: string): Holder | null {
  try {
    return JSON.parse(text) as Holder | null
  } catch {
    return null
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
