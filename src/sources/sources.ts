import type { Logger } from 'pino'
import type { AppendedBatch } from '../log/appender-options.ts'
import { readHeads, readIdentity } from '../log/read.ts'
import { Poll } from '../platform/async/poll.ts'
import { SingleFlight } from '../platform/async/single-flight.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import { type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'
import { Appended } from './appended.ts'
import { joinChanges, type Part } from './change.ts'
import { type Page, readPage } from './log-page.ts'
import { writeChanges } from './write.ts'

/** Raised with every change to the fold: then everything is folded again. */
export const FOLD_VERSION = 1

/** Milliseconds between two rounds while nobody reads. */
const POLL_INTERVAL_MS = 1_000

/** Flushes of a shard that are folded at once. */
const MANY = 20_000

export type SourcesOptions = { sql: Sql; shards: number; logger: Logger }

/**
 * Folds flushes by their sources, over all shards. Of several instances one folds at a time: the
 * one that has locked the row of `source_folds`. A round reads the positions and moves them in one
 * transaction: if killed before the commit, nothing has moved.
 */
export class Sources {
  readonly #appended: Appended[]
  readonly #round = new SingleFlight(() => this.#fold(true))
  readonly #poll = new Poll(() => this.#foldInTurn(), POLL_INTERVAL_MS)

  constructor(private readonly options: SourcesOptions) {
    this.#appended = Array.from({ length: options.shards }, () => new Appended())
  }

  /** Notes what this process has appended, so that it need not be read from the log. */
  noteAppended(shard: number, batch: AppendedBatch): void {
    const appended = this.#appended[shard]!
    appended.add(batch)
    if (appended.length >= MANY) void this.#poll.now()
  }

  /** Folds once a second, and when there is much to fold. */
  start(): Poll {
    return this.#poll.start()
  }

  /** Returns the milliseconds until the next round. */
  async #foldInTurn(): Promise<number> {
    try {
      return (await this.#fold(false)) ? 0 : POLL_INTERVAL_MS
    } catch (error) {
      const { logger } = this.options
      if (!isUnavailable(error)) logger.error({ err: error }, 'sources: could not be folded')
      return POLL_INTERVAL_MS
    }
  }

  /**
   * Folds everything that is in the log by now. Returns false if that takes longer than `withinMs`.
   */
  async catchUp(withinMs: number): Promise<boolean> {
    const end = performance.now() + withinMs
    while (await this.#round.read()) if (performance.now() > end) return false
    return true
  }

  /**
   * Folds one page of each shard. Returns true if there is more. Without `waits` it does nothing
   * while another instance folds.
   */
  #fold(waits: boolean): Promise<boolean> {
    return transact(this.options.sql, '', async (transaction) => {
      // A lock would write, once a second for as long as nobody posts.
      if (!(await hasNews(transaction))) return false
      const wait = waits ? transaction`` : transaction`skip locked`
      const [fold] = await transaction<{ version: number }[]>`
        select f.version from source_folds f for update ${wait}`
      if (fold === undefined || fold.version > FOLD_VERSION) return false
      if (fold.version < FOLD_VERSION) await beginAnew(transaction)
      return this.#foldPages(transaction)
    })
  }

  async #foldPages(transaction: Transaction): Promise<boolean> {
    const [heads, positions] = await Promise.all([
      readHeads(transaction),
      readPositions(transaction),
    ])
    const pages = new Map<number, Page>()
    for (const [shard, head] of heads.entries()) {
      const after = positions.get(shard) ?? -1
      if (after < head) pages.set(shard, await this.#readPage(transaction, shard, after, head))
    }
    // Shards are folded together, in the order of time. Otherwise what one shard has would be
    // missing until the others are read, in more ranges than are kept.
    const through = [...pages.values()]
      .filter(({ isFull }) => isFull)
      .map(({ parts }) => parts.at(-1)!.recordedAt)
      .reduce<string | null>((first, at) => (first === null || at < first ? at : first), null)
    const isDue = ({ recordedAt }: Part) => through === null || recordedAt <= through
    const folded: Part[] = []
    const moved: { shard: number; position: number }[] = []
    for (const [shard, { parts }] of pages) {
      const due = parts.filter(isDue)
      folded.push(...due)
      if (due.length > 0) moved.push({ shard, position: due.at(-1)!.position })
    }
    folded.sort((a, b) => (a.recordedAt < b.recordedAt ? -1 : a.recordedAt > b.recordedAt ? 1 : 0))
    await writeChanges(transaction, joinChanges(folded.flatMap(({ changes }) => changes)))
    if (moved.length > 0) await writePositions(transaction, moved)
    return through !== null
  }

  /** Takes what was appended here, if the log has it, or else reads the log. */
  async #readPage(
    transaction: Transaction,
    shard: number,
    after: number,
    head: number,
  ): Promise<Page> {
    const taken = this.#appended[shard]!.take(after)
    if (taken === null) return readPage(transaction, shard, after, head)
    const { commits, last } = taken
    const end = commits.at(-1)!.position
    if ((await readIdentity(transaction, shard, end)) !== last) {
      return readPage(transaction, shard, after, head)
    }
    return { parts: commits, isFull: end < head }
  }
}

/** True if the log has more than was folded, or what was folded is of an older version. */
async function hasNews(transaction: Transaction): Promise<boolean> {
  const [heads, positions, folds] = await Promise.all([
    readHeads(transaction),
    readPositions(transaction),
    transaction<{ version: number }[]>`select f.version from source_folds f`,
  ])
  const isBehind = heads.some((head, shard) => (positions.get(shard) ?? -1) < head)
  return isBehind || folds.some(({ version }) => version < FOLD_VERSION)
}

async function beginAnew(transaction: Transaction): Promise<void> {
  await transaction`delete from source_epochs`
  await transaction`delete from sources`
  await transaction`delete from source_positions`
  await transaction`update source_folds set version = ${FOLD_VERSION}`
}

async function readPositions(transaction: Transaction): Promise<Map<number, number>> {
  const rows = await transaction<{ shard: number; position: string }[]>`
    select p.shard, p.position from source_positions p`
  return new Map(rows.map(({ shard, position }) => [shard, Number(position)]))
}

async function writePositions(
  transaction: Transaction,
  moved: readonly { shard: number; position: number }[],
): Promise<void> {
  await transaction`
    insert into source_positions (shard, position)
    select f.shard, f.position
    from json_to_recordset(${JSON.stringify(moved)}::text::json)
      as f(shard integer, position bigint)
    on conflict (shard) do update set position = excluded.position`
}
