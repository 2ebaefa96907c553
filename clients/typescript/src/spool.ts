import { Buffer } from 'node:buffer'
import fs from 'node:fs/promises'
import { join } from 'node:path'
import { removeDurably, syncFolder, writeDurably } from './files.ts'
import {
  type Flush,
  type FlushName,
  findContained,
  formatName,
  parseFlush,
  parseName,
} from './flush.ts'
import { Lock } from './lock.ts'
import { findRuns, merge } from './merge.ts'
import { FOLDERS, type Folder, findNext, type Waiting } from './waiting.ts'

/** Why a flush was given up. */
export type Reason = { status: number | null; error: string | null; detail: string | null }

export type Limits = { flushes: number; bytes: number }

/** The spool directory: sealed flushes, until the service has them. */
export class Spool {
  readonly #directory: string
  readonly #lock: Lock
  readonly #waiting = new Map<string, Waiting>()
  /** The end of the newest change: changes run one after the other. */
  #changes: Promise<unknown> = Promise.resolve()
  #bytes = 0
  /** The number of flushes above which merging is tried again after it found nothing. */
  #mergeAbove = 0
  /** A file that was written and is not sealed: it must go before anything else is. */
  #unsettled: string | null = null
  /** The notes of the flushes that were there at the start. */
  readonly #notes: string[] = []
  /** True while flushes may be there that others contain: these must not be sent. */
  #hasContained = true

  private constructor(directory: string, lock: Lock) {
    this.#directory = directory
    this.#lock = lock
  }

  /** Takes the directory, and finishes or takes back what was interrupted. Throws if it is used. */
  static async open(directory: string, epoch: string): Promise<Spool> {
    for (const folder of [...FOLDERS, 'rejected'])
      await fs.mkdir(join(directory, folder), { recursive: true, mode: 0o700 })
    const lock = await Lock.take(directory, epoch)
    try {
      const spool = new Spool(directory, lock)
      for (const folder of FOLDERS) await spool.#load(folder)
      await spool.#removeContained()
      return spool
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** The notes of the flushes that an earlier process left. */
  get notes(): readonly string[] {
    return this.#notes
  }

  get size(): number {
    return this.#waiting.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Writes a flush. It is sealed when this returns; if it throws, it is not. `settle` runs between
   * the two: nothing sends or merges the flush before it has ended, and if it throws the flush is
   * deleted.
   */
  seal(name: FlushName, flush: Flush, settle?: () => Promise<void>): Promise<void> {
    return this.#exclusively(async () => {
      await this.#removeUnsettled()
      if (settle === undefined) return this.#write(name, flush)
      this.#unsettled = formatName(name)
      const text = await this.#writeFile(name, flush)
      try {
        await settle()
      } catch (error) {
        await this.#removeUnsettled()
        throw error
      }
      this.#unsettled = null
      this.#remember(name, 'sealed', flush.sealed_at, text)
    })
  }

  /**
   * Takes the flush to send next into `attempted`. `isCertain` if it was certainly not in the log
   * before. Null if none waits.
   */
  begin(): Promise<{ waiting: Waiting; flush: Flush; isCertain: boolean } | null> {
    return this.#exclusively(async () => {
      await this.#removeContained()
      const waiting = findNext(this.#waiting.values())
      if (waiting === null) return null
      const text = await this.#read(waiting)
      const isCertain = waiting.folder === 'sealed'
      if (isCertain) await this.#move(waiting, 'attempted')
      return { waiting, flush: JSON.parse(text) as Flush, isCertain }
    })
  }

  /** Deletes a flush that the service has accepted. */
  remove(waiting: Waiting): Promise<void> {
    return this.#exclusively(() => this.#remove([waiting]))
  }

  /** Records that a flush is certainly not in the log after all. */
  putBack(waiting: Waiting): Promise<void> {
    return this.#exclusively(() => this.#move(waiting, 'sealed'))
  }

  /**
   * Replaces a flush that is certainly not in the log by its parts. None of them is sent before the
   * whole is gone.
   */
  split(whole: Waiting, parts: readonly { name: FlushName; flush: Flush }[]): Promise<void> {
    return this.#exclusively(async () => {
      // If the rest is interrupted, the whole can still be split.
      await this.#move(whole, 'sealed')
      this.#hasContained = true
      for (const { name, flush } of parts) await this.#write(name, flush)
      await this.#remove([whole])
      this.#hasContained = false
    })
  }

  /** Gives a flush up: it stays in `rejected`, with the reason beside it. */
  reject(waiting: Waiting, reason: Reason): Promise<void> {
    return this.#exclusively(async () => {
      await this.#rejectFile(waiting.folder, waiting.file, reason)
      this.#forget(waiting)
    })
  }

  /** If the spool is above its limits, merges flushes of `sealed`; returns how many are gone. */
  mergeIfAbove(limits: Limits, instance: string): Promise<number> {
    return this.#exclusively(async () => {
      const isAbove = (share: number) =>
        this.size > limits.flushes * share || this.bytes > limits.bytes * share
      if (!isAbove(1) || this.size <= this.#mergeAbove) return 0
      await this.#removeContained()
      const before = this.size
      for (const sameQuarter of [true, false]) {
        const futile = new Set<string>()
        while (isAbove(0.5)) {
          const run = findRuns(this.#mergeable(), sameQuarter).find(
            ([first]) => !futile.has(first!.file),
          )
          if (run === undefined) break
          if (!(await this.#merge(run, instance))) futile.add(run[0]!.file)
        }
      }
      // Reading all flushes again makes sense only after some have come.
      this.#mergeAbove = isAbove(1) ? this.size * 1.1 : 0
      return before - this.size
    })
  }

  /** Waits for the change in progress and leaves the directory to the next process. */
  close(): Promise<void> {
    return this.#exclusively(() => this.#lock.release())
  }

  #exclusively<Result>(change: () => Promise<Result>): Promise<Result> {
    const result = this.#changes.then(change)
    this.#changes = result.catch(() => {})
    return result
  }

  #mergeable = () => [...this.#waiting.values()].filter(({ folder }) => folder === 'sealed')

  async #merge(run: readonly Waiting[], instance: string): Promise<boolean> {
    const flushes = await Promise.all(
      run.map(async (waiting) => ({
        name: waiting.name,
        flush: JSON.parse(await this.#read(waiting)) as Flush,
      })),
    )
    const merged = merge(instance, flushes)
    if (merged === null) return false
    this.#hasContained = true
    await this.#write(merged.name, merged.flush)
    await this.#remove(run)
    this.#hasContained = false
    return true
  }

  /** Finishes a merge, or takes back a split, that was interrupted or that the disk refused. */
  async #removeContained(): Promise<void> {
    if (!this.#hasContained) return
    await this.#remove(findContained([...this.#waiting.values()]))
    this.#hasContained = false
  }

  /** Reads a flush. If someone has deleted it, it is forgotten. */
  async #read(waiting: Waiting): Promise<string> {
    try {
      return await fs.readFile(this.#pathOf(waiting), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') this.#forget(waiting)
      throw error
    }
  }

  async #load(folder: Folder): Promise<void> {
    const path = join(this.#directory, folder)
    const files = await fs.readdir(path)
    await removeDurably(
      path,
      files.filter((file) => file.endsWith('.tmp')),
    )
    for (const file of files.filter((file) => file.endsWith('.json'))) {
      const text = await fs.readFile(join(path, file), 'utf8')
      const name = parseName(file)
      const flush = parseFlush(text)
      if (flush?.note !== undefined) this.#notes.push(flush.note)
      if (name !== null && flush !== null) this.#remember(name, folder, flush.sealed_at, text)
      else await this.#rejectFile(folder, file, UNREADABLE)
    }
  }

  async #write(name: FlushName, flush: Flush): Promise<void> {
    this.#remember(name, 'sealed', flush.sealed_at, await this.#writeFile(name, flush))
  }

  async #writeFile(name: FlushName, flush: Flush): Promise<string> {
    const text = JSON.stringify(flush)
    await writeDurably(join(this.#directory, 'sealed', formatName(name)), text)
    return text
  }

  async #removeUnsettled(): Promise<void> {
    if (this.#unsettled === null) return
    await removeDurably(this.#folder('sealed'), [this.#unsettled])
    this.#unsettled = null
  }

  async #move(waiting: Waiting, to: Folder): Promise<void> {
    if (waiting.folder === to) return
    const from = waiting.folder
    await fs.rename(this.#pathOf(waiting), join(this.#folder(to), waiting.file))
    waiting.folder = to
    await syncFolder(this.#folder(to))
    await syncFolder(this.#folder(from))
  }

  async #remove(flushes: readonly Waiting[]): Promise<void> {
    for (const folder of FOLDERS) {
      const there = flushes.filter((waiting) => waiting.folder === folder)
      if (there.length === 0) continue
      await removeDurably(
        this.#folder(folder),
        there.map(({ file }) => file),
      )
      for (const waiting of there) this.#forget(waiting)
    }
  }

  async #rejectFile(folder: Folder, file: string, reason: Reason): Promise<void> {
    const rejected = join(this.#directory, 'rejected')
    const text = JSON.stringify({ ...reason, rejected_at: Math.floor(Date.now() / 1_000) })
    await writeDurably(join(rejected, file.replace(/\.json$/, '.reason.json')), text)
    await fs.rename(join(this.#folder(folder), file), join(rejected, file))
    await syncFolder(rejected)
    await syncFolder(this.#folder(folder))
  }

  #remember(name: FlushName, folder: Folder, sealedAt: number, text: string): void {
    const bytes = Buffer.byteLength(text)
    const file = formatName(name)
    this.#bytes += bytes - (this.#waiting.get(file)?.bytes ?? 0)
    this.#waiting.set(file, { name, file, folder, sealedAt, bytes })
  }

  #forget(waiting: Waiting): void {
    if (this.#waiting.delete(waiting.file)) this.#bytes -= waiting.bytes
  }

  #folder = (folder: Folder) => join(this.#directory, folder)

  #pathOf = ({ folder, file }: Waiting) => join(this.#directory, folder, file)
}

const UNREADABLE: Reason = { status: null, error: 'unreadable', detail: null }
