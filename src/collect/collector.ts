import { join } from 'node:path'
import type { ApiKeyRecord, ClientOptions } from '../../clients/typescript/src/index.ts'
import { TallybookClient } from '../../clients/typescript/src/index.ts'
import { HASH_BYTES, State } from './state.ts'
import type { UsageRecord } from './usage-record.ts'

export type CollectorOptions = Pick<
  ClientOptions,
  'url' | 'token' | 'instance' | 'backoff' | 'spoolLimits' | 'onError' | 'onRejected' | 'onPause'
> & {
  /** A directory of this process alone, on a disk that outlives it. */
  directory: string
  /** How long ids of records are kept, in seconds. */
  keepIdsSeconds: number
  /** Records that arrive within this time, in milliseconds, become one flush. */
  commitMs: number
}

/** Records of an input that wait for the disk. */
type Waiting = {
  input: string
  records: readonly UsageRecord[]
  resolve: (result: Added) => void
  reject: (error: unknown) => void
}

/** How many records of a batch were counted now, and how many had been counted before. */
export type Added = { counted: number; duplicates: number }

/** A record, and the hash of its id. */
type Fresh = { record: UsageRecord; hash: Buffer | null }

const QUARTER_HOUR = 900

/** Waiting records from which on no others are waited for, and from which on no more are taken. */
const FULL_BATCH = 5_000
const MOST_WAITING = 200_000

/** The most records of a flush, so that the service does not find it too large. */
const MOST_SEALED = 10_000

/** Thrown if more records wait for the disk than memory should hold. */
export class Busy extends Error {}

/**
 * Counts records exactly once: `add` returns when they are in the spool of a client, which posts
 * them, and when their ids are stored, so that a sender may repeat them.
 */
export class Collector {
  readonly #client: TallybookClient
  readonly #state: State
  readonly #options: CollectorOptions
  #queue: Waiting[] = []
  #waitingRecords = 0
  #commit: Promise<void> | null = null
  #lastCommit = 0
  #forgottenAt = 0

  private constructor(client: TallybookClient, state: State, options: CollectorOptions) {
    this.#client = client
    this.#state = state
    this.#options = options
  }

  /** Opens the directory. Throws if another process uses it, or if it can't be written. */
  static async open(options: CollectorOptions): Promise<Collector> {
    const { directory, keepIdsSeconds, commitMs: _, ...target } = options
    const state = new State(directory, keepIdsSeconds)
    try {
      const client = await TallybookClient.open({
        ...target,
        spool: join(directory, 'spool'),
        // A process that was killed had sealed these records without storing their ids.
        onNotes: (notes) => state.add(notes.flatMap(parseNote), unixSeconds()),
      })
      return new Collector(client, state, options)
    } catch (error) {
      state.close()
      throw error
    }
  }

  /**
   * Counts the records that were not counted before. They are on the disk when this returns. If it
   * throws, some may be, and the same records may be added again. Throws Busy if too many wait.
   */
  add(input: string, records: readonly UsageRecord[]): Promise<Added> {
    if (this.#waitingRecords + records.length > MOST_WAITING && this.#waitingRecords > 0) {
      return Promise.reject(new Busy(`${this.#waitingRecords} records wait for the disk.`))
    }
    this.#waitingRecords += records.length
    return new Promise((resolve, reject) => {
      this.#queue.push({ input, records, resolve, reject })
      this.#commit ??= this.#commitAll()
    })
  }

  /** The metrics of the client in the text format of Prometheus. */
  clientMetrics(): string {
    return this.#client.metrics()
  }

  /** The number of ids that are kept. */
  get ids(): number {
    return this.#state.size
  }

  /** How far a source was read; null if it was not. */
  cursorOf(source: string): string | null {
    return this.#state.cursorOf(source)
  }

  /**
   * Stores how far a source was read, after what is before it was added. If the process is killed
   * between the two, that is read again and known by its ids.
   */
  moveCursor(source: string, cursor: string): void {
    this.#state.moveCursor(source, cursor)
  }

  /** Stores what was added, sends until the deadline, and returns the flushes that are left. */
  async close(deadlineMs: number): Promise<{ flushes: number }> {
    await this.#commit
    const left = await this.#client.close(deadlineMs)
    this.#state.close()
    return left
  }

  async #commitAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const rest = this.#lastCommit + this.#options.commitMs - performance.now()
      if (rest > 0 && this.#waitingRecords < FULL_BATCH) await Bun.sleep(rest)
      this.#lastCommit = performance.now()
      const group = this.#queue
      this.#queue = []
      try {
        await this.#count(group)
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
      for (const { records } of group) this.#waitingRecords -= records.length
      this.#forgetOld()
    }
    this.#commit = null
  }

  /** Seals the new records of a group, those of each quarter hour as a flush. */
  async #count(group: readonly Waiting[]): Promise<void> {
    const now = unixSeconds()
    const quarters = new Map<number, Fresh[]>()
    const inGroup = new Set<string>()
    const added = group.map(({ input, records }): Added => {
      let duplicates = 0
      for (const record of records) {
        const hash = record.id === null ? null : State.hash(input, record.id)
        const text = hash?.toString('base64')
        if (hash !== null && (inGroup.has(text!) || this.#state.has(hash))) {
          duplicates++
          continue
        }
        if (text !== undefined) inGroup.add(text)
        const quarter = Math.floor(Math.min(record.at ?? now, now) / QUARTER_HOUR)
        const fresh = quarters.get(quarter)
        if (fresh) fresh.push({ record, hash })
        else quarters.set(quarter, [{ record, hash }])
      }
      return { counted: records.length - duplicates, duplicates }
    })
    for (const fresh of quarters.values()) {
      for (let i = 0; i < fresh.length; i += MOST_SEALED) {
        await this.#seal(fresh.slice(i, i + MOST_SEALED), now)
      }
    }
    group.forEach(({ resolve }, i) => {
      resolve(added[i]!)
    })
  }

  async #seal(fresh: readonly Fresh[], now: number): Promise<void> {
    const hashes = fresh.flatMap(({ hash }) => hash ?? [])
    const countedAt = Math.max(...fresh.map(({ record }) => Math.min(record.at ?? now, now)))
    await this.#client.sealBatch(
      fresh.map(({ record }) => toApiKeyRecord(record)),
      {
        countedAt,
        ...(hashes.length > 0 && { note: formatNote(hashes) }),
        settle: async () => this.#state.add(hashes, now),
      },
    )
  }

  #forgetOld(): void {
    const now = unixSeconds()
    if (now - this.#forgottenAt < QUARTER_HOUR) return
    this.#forgottenAt = now
    try {
      this.#state.forgetOld(now)
    } catch (error) {
      this.#options.onError?.(error)
    }
  }
}

const unixSeconds = () => Math.floor(Date.now() / 1_000)

/** The hashes of a flush as a text, one after the other. */
const formatNote = (hashes: readonly Buffer[]) => Buffer.concat(hashes).toString('base64')

function parseNote(note: string): Buffer[] {
  const bytes = Buffer.from(note, 'base64')
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, i) =>
    bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  )
}

function toApiKeyRecord(record: UsageRecord): ApiKeyRecord {
  const { key, name, group, isSuccess, dimensions, measures } = record
  return {
    key,
    ...(name !== undefined && { name }),
    ...(group !== undefined && { group }),
    requests: 1,
    ...(isSuccess && { successRequests: 1 }),
    dimensions,
    measures,
  }
}
