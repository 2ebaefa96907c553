import { type CatalogWriter, changeCatalog } from '../log/catalog/change.ts'
import { findAppended } from '../log/first-attempt.ts'
import type { PendingFlush } from '../log/queue.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import { makeRows, type NewRows } from './rows.ts'
import { RegisteredToday, SOURCE_PREFIX } from './today.ts'
import { findUnknown } from './unknown.ts'

/** Attempts at a change that others overtake, and the pause (ms) between two attempts. */
const TRIES = 400
const RETRY_MS = 5

/** A batch that waited this long (ms) for its turn is about to be answered without it. */
const MAX_WAIT_MS = 30_000

/**
 * How long (ms) no key is registered after the limit was reached, unless the day ends before. Then
 * the log is read again, as the database may have lost changes.
 */
const PAUSE_MS = 60_000

export type RegistrarOptions = {
  writer: CatalogWriter
  /** The most keys that the service registers on a day, all instances together. */
  perDay: number
  /** Called with the number of keys that a batch names and that the limit leaves unknown. */
  onLimit: (keys: number) => void
}

/**
 * Adds the unknown keys of flushes to the catalog before the flushes are appended. Retired keys
 * stay as they are.
 *
 * The keys of a day are counted through the position of the catalog by which the change is
 * decided, and the log takes the change only if that is still the newest. So the limit is exact,
 * whatever other instances do. Failed and not stored: the flushes are not appended. Failed but
 * stored: the next attempt finds the keys in the catalog.
 */
export class Registrar {
  readonly #today: RegisteredToday
  /** One registration at a time: they would only overtake each other. */
  #turn: Promise<unknown> = Promise.resolve()
  #pausedUntil = Number.NEGATIVE_INFINITY
  /** Flushes whose keys were left unknown and counted: a batch may be registered repeatedly. */
  readonly #noted = new WeakSet<PendingFlush>()

  constructor(private readonly options: RegistrarOptions) {
    this.#today = new RegisteredToday(options.writer.sql)
  }

  /** Registers the unknown keys of flushes that are about to be appended to a shard. */
  readonly register = async (shard: number, flushes: readonly PendingFlush[]): Promise<void> => {
    const found = findUnknown(this.options.writer.catalog, flushes.map(toPosted))
    if (found.apiKeys.length + found.keys.length === 0) return
    if (!this.#isPaused()) await this.#takeTurn(shard, flushes)
    if (this.#isPaused()) this.#noteLeftOut(flushes)
  }

  readonly #isPaused = () => performance.now() < this.#pausedUntil

  /** Counts the keys of flushes that are left unknown, once for each flush. */
  #noteLeftOut(flushes: readonly PendingFlush[]): void {
    const { writer, onLimit } = this.options
    const noted = flushes.filter((flush) => !this.#noted.has(flush))
    for (const flush of noted) this.#noted.add(flush)
    const unknown = findUnknown(writer.catalog, noted.map(toPosted))
    const { leftOut } = makeRows(writer.catalog, unknown, 0)
    if (leftOut > 0) onLimit(leftOut)
  }

  async #takeTurn(shard: number, flushes: readonly PendingFlush[]): Promise<void> {
    const end = performance.now() + MAX_WAIT_MS
    const turn = this.#turn.then(() => {
      if (performance.now() > end) throw new TemporarilyUnavailable('no answer')
      return this.#registerNew(shard, flushes)
    })
    this.#turn = turn.catch(() => {})
    await turn
  }

  async #registerNew(shard: number, flushes: readonly PendingFlush[]): Promise<void> {
    // A retry registers nothing.
    const appended = await findAppended(this.options.writer.sql, shard, flushes)
    const bySource = Map.groupBy(
      flushes.filter((flush) => !appended.has(flush)),
      ({ source }) => source,
    )
    for (const [source, posted] of bySource) await this.#registerFor(source, posted)
  }

  /** Registers the keys that one token names, in one change of the catalog. */
  async #registerFor(source: string, flushes: readonly PendingFlush[]): Promise<void> {
    const { writer, perDay } = this.options
    const posted = flushes.map(toPosted)
    for (let tries = 0; tries < TRIES; tries++) {
      const today = await this.#today.read()
      let decided = null as NewRows | null
      await changeCatalog(writer, `${SOURCE_PREFIX}${source}`, (catalog) => {
        const isCounted = catalog.position === today.position && catalog.sha256 === today.sha256
        decided = isCounted
          ? makeRows(catalog, findUnknown(catalog, posted), perDay - today.keys)
          : null
        return decided?.added ? { upserted: decided.rows, ended: {} } : null
      })
      if (decided === null) {
        await Bun.sleep(RETRY_MS)
        continue
      }
      if (decided.leftOut > 0) {
        this.#pausedUntil = performance.now() + Math.min(today.msLeft, PAUSE_MS)
      }
      return
    }
    throw new TemporarilyUnavailable('catalog busy')
  }
}

const toPosted = ({ posted }: PendingFlush) => posted
