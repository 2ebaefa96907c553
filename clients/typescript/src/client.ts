import { randomBytes } from 'node:crypto'
import { clearTimeout, setTimeout } from 'node:timers'
import { type AccountKey, Accumulators, type Counts } from './accumulators.ts'
import { ExhaustedFeed } from './exhausted.ts'
import { type Entry, type Flush, type Kind, seal } from './flush.ts'
import { Counters, formatMetrics } from './metrics.ts'
import { type ClientOptions, readOptions, type Settings } from './options.ts'
import { Sender } from './sender.ts'
import { Shadow } from './shadow.ts'
import { Spool } from './spool.ts'
import {
  type ApiKeyCounts,
  type ApiKeyRecord,
  areApiKeyCounts,
  areTokenCounts,
  isApiKeyRecord,
  isId,
  isName,
  type TokenCounts,
} from './validate.ts'

const KINDS: readonly Kind[] = ['api', 'token']

/** What a closed client leaves behind. */
export type Left = {
  /** Flushes in the spool. The next start sends them. */
  flushes: number
  /** Accumulators that the disk refused: their counts are lost with the process. */
  unsealed: number
  /** Flushes that this client has moved to `rejected`. */
  rejected: number
}

export type BatchOptions = {
  /** Unix seconds at which the records were counted. Default: now. */
  countedAt?: number
  /** A text that is in the file of the flush, for `onNotes`. */
  note?: string
  /** Runs before anything sends the flush; if it throws, the flush is deleted. */
  settle?: () => Promise<void>
}

/** Counts in memory, seals to a spool directory, and posts each flush exactly once. */
export class TallybookClient {
  readonly #settings: Settings
  readonly #spool: Spool
  readonly #epoch: string
  readonly #counters = new Counters()
  readonly #sender: Sender
  readonly #shadow: Shadow | null
  readonly #exhausted: ExhaustedFeed | null
  readonly #accumulators = {
    api: new Accumulators('api'),
    token: new Accumulators('token'),
  }
  readonly #nextSeq = { api: 0, token: 0 }
  /** The end of the newest seal: seals run one after the other. */
  #seals: Promise<boolean> = Promise.resolve(true)
  #timer: NodeJS.Timeout | null = null
  #isSealDue = false
  #closing: Promise<Left> | null = null

  private constructor(settings: Settings, spool: Spool, epoch: string) {
    this.#settings = settings
    this.#spool = spool
    this.#epoch = epoch
    const { url, token, shadow, timeoutMs, backoff } = settings
    const { onError, onRejected, onPause } = settings
    const target = { url, token }
    const options = { target, timeoutMs, backoff, onError, onRejected, onPause }
    this.#sender = new Sender(spool, this.#counters, options)
    this.#shadow = shadow && new Shadow(shadow, timeoutMs)
    this.#exhausted = settings.followExhausted ? new ExhaustedFeed(target, backoff, onError) : null
    this.#schedule()
  }

  /**
   * Starts a client, which first sends what an earlier one left in the spool. Throws if an option
   * can't work, the directory can't be written, or another process uses it.
   */
  static async open(options: ClientOptions): Promise<TallybookClient> {
    const settings = readOptions(options)
    const epoch = randomBytes(6).toString('hex')
    const spool = await Spool.open(settings.spool, epoch)
    try {
      await settings.onNotes(spool.notes)
    } catch (error) {
      await spool.close()
      throw error
    }
    return new TallybookClient(settings, spool, epoch)
  }

  /** Counts for an API key, by its id or its external id. Never waits and never throws. */
  record(key: number | string, counts: ApiKeyCounts): void {
    const { api } = this.#accumulators
    const isKnown = api.has(key) || (typeof key === 'number' ? isId(key) : isName(key))
    if (!isKnown || !isObject(counts) || !areApiKeyCounts(counts)) {
      this.#counters.dropped++
      return
    }
    const { requests = 0, successRequests = 0, dimensions, measures } = counts
    this.#add('api', key, { requests, success_requests: successRequests, dimensions, measures })
  }

  /** Counts for a token key. Never waits and never throws. */
  recordToken(hash: string, counts: TokenCounts): void {
    const isKnown = this.#accumulators.token.has(hash) || isName(hash)
    if (!isKnown || !isObject(counts) || !areTokenCounts(counts)) {
      this.#counters.dropped++
      return
    }
    const { requests = 0, tokens = 0, lastAccessedAt, dimensions, measures } = counts
    this.#add('token', hash, {
      requests,
      tokens,
      last_accessed_at: lastAccessedAt,
      dimensions,
      measures,
    })
  }

  /** True if the quota of a token key is exhausted, as far as the service has reported it. */
  isExhausted(hash: string): boolean {
    return this.#exhausted?.has(hash) ?? false
  }

  /** Seals now what was recorded. True if all of it is on the disk, and survives the process. */
  seal(): Promise<boolean> {
    return this.#seal(false)
  }

  /**
   * Seals records as a flush of their own, apart from what `record` counted. It is on the disk when
   * this returns; if it throws, nothing was counted. `settle` runs between the two, and stores what
   * belongs to the flush elsewhere. If the process is killed then, the next client passes `note` to
   * `onNotes`, so that it is stored after all. Throws TypeError for a record that the service would
   * refuse.
   */
  sealBatch(records: readonly ApiKeyRecord[], options: BatchOptions = {}): Promise<void> {
    const accumulators = new Accumulators('api')
    for (const record of records) {
      const { key, name, group, requests = 0, successRequests, dimensions, measures } = record
      const counts = { name, group, requests, success_requests: successRequests, dimensions }
      if (!isApiKeyRecord(record) || !accumulators.add(key, { ...counts, measures }))
        throw new TypeError(`The service would refuse this record: ${JSON.stringify(record)}`)
    }
    if (this.#closing !== null) throw new Error('The client is closed.')
    const sealing = this.#seals.then(async () => {
      await this.#sealBatch(accumulators.take(), options)
      this.#counters.recorded += records.length
      await this.#merge()
    })
    this.#seals = sealing.then(
      () => true,
      () => false,
    )
    return sealing
  }

  /** Waits until the service has every sealed flush, or the client is closed. */
  drained(): Promise<void> {
    return this.#sender.drained()
  }

  /** The metrics of this client in the text format of Prometheus. */
  metrics(): string {
    const { size: flushes, bytes } = this.#spool
    return formatMetrics(this.#counters, { accumulators: this.#unsealed, flushes, bytes })
  }

  /** Seals, sends until the deadline, and returns what is left. Counts after it are dropped. */
  close(deadlineMs = 10_000): Promise<Left> {
    this.#closing ??= this.#close(deadlineMs)
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<Left> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    // This timer also keeps the process alive until the client is closed.
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs)
    })
    await this.#seal(true)
    await Promise.race([this.#sender.drained(), deadline])
    clearTimeout(timer)
    await this.#sender.stop()
    await this.#exhausted?.stop()
    await this.#spool.close()
    return {
      flushes: this.#spool.size,
      unsealed: this.#unsealed,
      rejected: this.#counters.rejected,
    }
  }

  get #unsealed(): number {
    return this.#accumulators.api.size + this.#accumulators.token.size
  }

  #add(kind: Kind, key: AccountKey, counts: Counts): void {
    if (this.#closing !== null || !this.#accumulators[kind].add(key, counts)) {
      this.#counters.dropped++
      return
    }
    this.#counters.recorded++
    if (this.#accumulators[kind].size < this.#settings.sealAt || this.#isSealDue) return
    this.#isSealDue = true
    void this.#seal(false)
  }

  /** Seals after the interval ± 20 %, so that proxies don't post in step. */
  #schedule(): void {
    const ms = this.#settings.sealIntervalMs * (0.8 + 0.4 * Math.random())
    this.#timer = setTimeout(() => {
      void this.#seal(false).then(() => {
        if (this.#closing === null) this.#schedule()
      })
    }, ms)
    this.#timer.unref()
  }

  #seal(isLast: boolean): Promise<boolean> {
    this.#seals = this.#seals.then(async () => {
      let isSealed = true
      for (const kind of KINDS) isSealed = (await this.#sealKind(kind, isLast)) && isSealed
      // A disk that has refused many counts is not asked again with every call.
      this.#isSealDue = !isSealed
      await this.#merge()
      return isSealed
    })
    return this.#seals
  }

  /** Seals one kind. If the disk refuses the flush, its counts are part of the next one. */
  async #sealKind(kind: Kind, isLast: boolean): Promise<boolean> {
    const { instance, onError } = this.#settings
    const seq = this.#nextSeq[kind]
    const entries = this.#accumulators[kind].take()
    if (entries.length === 0 && !(isLast && seq > 0)) return true
    const name = { epoch: `${this.#epoch}.${kind}`, first: seq, last: seq, parts: [] }
    const flush = seal(instance, kind, name, unixSeconds(), entries, isLast)
    try {
      await this.#spool.seal(name, flush)
    } catch (error) {
      this.#counters.sealFailures++
      this.#counters.dropped += this.#accumulators[kind].restore(entries).length
      onError(error)
      return false
    }
    this.#afterSeal(kind, flush)
    return true
  }

  async #sealBatch(entries: Entry[], options: BatchOptions): Promise<void> {
    const { countedAt = unixSeconds(), note, settle } = options
    const seq = this.#nextSeq.api
    const name = { epoch: `${this.#epoch}.api`, first: seq, last: seq, parts: [] }
    const flush = seal(this.#settings.instance, 'api', name, countedAt, entries, false)
    if (note !== undefined) flush.note = note
    await this.#spool.seal(name, flush, settle).catch((error) => {
      this.#counters.sealFailures++
      throw error
    })
    this.#afterSeal('api', flush)
  }

  async #merge(): Promise<void> {
    const { spoolLimits, instance, onError } = this.#settings
    const merging = this.#spool.mergeIfAbove(spoolLimits, instance)
    this.#counters.merged += await merging.catch((error) => {
      onError(error)
      return 0
    })
  }

  #afterSeal(kind: Kind, flush: Flush): void {
    this.#nextSeq[kind]++
    this.#counters.sealed++
    this.#shadow?.post(flush)
    this.#sender.wake()
  }
}

const unixSeconds = () => Math.floor(Date.now() / 1_000)

const isObject = (value: unknown) => typeof value === 'object' && value !== null
