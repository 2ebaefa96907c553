import { hash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Bytes of a cache by default: 3,000 blocks. */
export const CACHE_BYTES = 1024 * 1024 * 1024

/** Milliseconds after which a file in use counts as used again: not every read writes to disk. */
const TOUCH_MS = 60_000

/** Milliseconds without writing after the disk has refused to. */
const PAUSE_MS = 30_000

/** Milliseconds after which a temporary file is left over: it is written in one go. */
const LEFTOVER_MS = 600_000

/** The share of the bound that is written before the folder is measured again. */
const UNMEASURED = 1 / 16

/** A file of the cache: its path, length, and when it was used last (milliseconds since 1970). */
type Entry = { path: string; bytes: number; usedAt: number; isTemporary: boolean }

/**
 * Keeps bytes on disk by their SHA-256, within a bound; what was used least recently is removed.
 * Several processes may share the folder: a file appears whole, and never changes. Nothing relies
 * on it: what can't be written or read, or has another hash, is not there. So it needs no sync, and
 * a full disk only makes it slower.
 */
export class BlockCache {
  /** Bytes written since the folder was measured; measured before the first write. */
  #unmeasured = Number.POSITIVE_INFINITY
  #pausedUntil = 0
  #measuring: Promise<void> | null = null

  constructor(
    private readonly folder: string,
    private readonly maxBytes = CACHE_BYTES,
  ) {}

  /** Returns the bytes with this SHA-256 (hex), or null if they are not there. */
  async get(sha256: string): Promise<Buffer<ArrayBuffer> | null> {
    const path = this.#pathOf(sha256)
    try {
      const bytes = await readFile(path)
      if (hash('sha256', bytes, 'hex') === sha256) {
        await touch(path).catch(() => {})
        return bytes
      }
      await rm(path, { force: true })
    } catch {
      // It is not there, or the disk fails: both are a miss.
    }
    return null
  }

  /** Adds bytes with this SHA-256, if they fit. */
  async put(sha256: string, bytes: Buffer): Promise<void> {
    if (bytes.length > this.maxBytes * UNMEASURED || performance.now() < this.#pausedUntil) return
    const path = this.#pathOf(sha256)
    const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
    try {
      await mkdir(join(path, '..'), { recursive: true, mode: 0o700 })
      if (this.#unmeasured + bytes.length > this.maxBytes * UNMEASURED) await this.#measure()
      this.#unmeasured += bytes.length
      await writeFile(temporary, bytes, { flag: 'wx', mode: 0o600 })
      await rename(temporary, path)
    } catch {
      this.#pausedUntil = performance.now() + PAUSE_MS
      await rm(temporary, { force: true }).catch(() => {})
    }
  }

  #pathOf(sha256: string): string {
    return join(this.folder, sha256.slice(0, 2), sha256)
  }

  /** Removes files until what may be written before the next measurement fits. */
  #measure(): Promise<void> {
    this.#measuring ??= this.#removeOldest().finally(() => {
      this.#measuring = null
    })
    return this.#measuring
  }

  async #removeOldest(): Promise<void> {
    const entries = await listEntries(this.folder)
    const now = Date.now()
    let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0)
    const most = this.maxBytes * (1 - UNMEASURED)
    // Clocks may have been wrong: what was used in the future was not used lately.
    const ageOf = ({ usedAt }: Entry) => Math.abs(now - usedAt)
    for (const entry of entries.sort((a, b) => ageOf(b) - ageOf(a))) {
      const isLeftOver = entry.isTemporary && ageOf(entry) > LEFTOVER_MS
      if (bytes <= most && !isLeftOver) continue
      await rm(entry.path, { force: true })
      bytes -= entry.bytes
    }
    this.#unmeasured = 0
  }
}

async function touch(path: string): Promise<void> {
  const now = Date.now()
  const { mtimeMs } = await stat(path)
  if (Math.abs(now - mtimeMs) > TOUCH_MS) await utimes(path, now / 1_000, now / 1_000)
}

async function listEntries(folder: string): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const shelf of await readdir(folder)) {
    // Only what the cache has written: the folder may be a wrong one.
    if (!/^[0-9a-f]{2}$/.test(shelf)) continue
    for (const name of await readdir(join(folder, shelf))) {
      const match = /^[0-9a-f]{64}(\.\d+\.[0-9a-f]{8})?$/.exec(name)
      if (match === null) continue
      const path = join(folder, shelf, name)
      // Another process may have removed it.
      const found = await stat(path).catch(() => null)
      if (found === null) continue
      const isTemporary = match[1] !== undefined
      entries.push({ path, bytes: found.size, usedAt: found.mtimeMs, isTemporary })
    }
  }
  return entries
}
