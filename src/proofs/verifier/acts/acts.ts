import type { Event } from '../../../events/event.ts'
import type { LineEvent } from '../../../events/event-line.ts'
import type { FindingKind, OnFinding } from '../finding.ts'
import type { ShardFold } from '../fold.ts'
import type { EventSource } from '../sources/source.ts'
import { BLOCK_EVENTS, blockOf, type WalkedBlocks } from '../walked-blocks.ts'
import { type AdoptedKey, AdoptedKeys } from './adopted-keys.ts'
import { PostedNames } from './posted-names.ts'
import { readAgain } from './read-again.ts'
import { Resets } from './resets.ts'
import { type Coverage, Resharding } from './resharding.ts'
import { type NamedEvents, Reversals } from './reversals.ts'
import { hasUnknownEntries, unknownEntriesOf } from './unknown-entries.ts'

/** The kinds of findings about acts. */
const KINDS = new Map<Event['type'], FindingKind>([
  ['EventReversed', 'reversal'],
  ['UnknownKeysAdopted', 'adoption'],
  ['QuotaReset', 'reset'],
])

/** An adoption that was not compared yet. */
type PendingAdoption = { adoption: Coverage; keys: readonly AdoptedKey[] }

/** The shards of the log, and how to read them again. */
export type WalkedLog = {
  source: EventSource
  /** For each shard, the events walked, and their fold. */
  walked: readonly { walked: WalkedBlocks; fold: ShardFold }[]
  /** Called before each block that is read again. */
  onBlock: () => void
}

/**
 * Compares reversals, adoptions and quota resets with the events that they are about.
 *
 * An act may name any event before it, in any shard. So the walk only collects acts. At its end the
 * events that they name are read again, in blocks that are recognized by their hashes. To keep a
 * hash of what each event has counted instead would take memory for every event, and would not do
 * for an adoption, which takes the sums of some names of many flushes. Memory depends on the number
 * of reversals, of resets and of adopted names.
 */
export class Acts {
  /** The number of acts compared. */
  compared = 0
  readonly #resharding = new Resharding()
  readonly #adopted = new AdoptedKeys(this.#resharding)
  readonly #resets: Resets
  readonly #reversals: Reversals
  #adoptions: PendingAdoption[] = []

  constructor(private readonly report: OnFinding) {
    this.#resets = new Resets(this.#resharding, report)
    this.#reversals = new Reversals(this.#adopted, this.#resets, this.#resharding, report)
  }

  /** The number of acts that could not be compared. */
  get missed(): number {
    return this.#pending + this.#reversals.unlisted
  }

  get #pending(): number {
    return this.#reversals.pending + this.#adoptions.length + this.#resets.pending
  }

  /** Collects the acts among the events, each before it is folded. */
  note(event: Event | null, line: LineEvent, fold: ShardFold): void {
    const { shard, position, version, recordedAt } = line
    this.#resets.pass(shard, recordedAt, fold)
    if (event === null) return
    if (shard !== 0) {
      this.#checkPlace(event, `${shard}/${position}`)
    } else if (event.type === 'EventReversed') {
      this.#reversals.add(event.data, position, version)
    } else if (event.type === 'QuotaReset') {
      this.#resets.add(event.data, position, fold)
    } else if (event.type === 'ShardsChanged') {
      this.#resharding.note(event.data, position, version)
    } else if (event.type === 'UnknownKeysAdopted') {
      const { heads, until } = event.data
      const adoption = { position, heads, until }
      const { keys, contradiction } = this.#adopted.add(adoption, event.data, fold.catalog.api_keys)
      this.#adoptions.push({ adoption, keys })
      if (contradiction !== null) this.#find(adoption, contradiction)
    }
  }

  /** Returns how many events a shard must have for the acts collected. */
  sizeOf(shard: number): number {
    return this.#adoptions.reduce(
      (size, { adoption }) =>
        this.#resharding.isBefore(adoption.position)
          ? size
          : Math.max(size, (adoption.heads[shard] ?? -1) + 1),
      Math.max(this.#reversals.sizeOf(shard), this.#resets.sizeOf(shard)),
    )
  }

  /** Compares the acts collected. Every shard must have been walked to its end. */
  async compare({ source, walked, onBlock }: WalkedLog): Promise<void> {
    if (this.#pending === 0) return
    const sizes = walked.map((shard) => shard.walked.size)
    const named = this.#reversals.findNamed(sizes)
    const adoptions = this.#adoptions.filter(({ adoption }) => this.#checkHeads(adoption, sizes))
    const keys = adoptions.flatMap((one) => one.keys)
    const posted = new PostedNames(this.#adopted, this.#resharding, keys)
    for (const [shard, { walked: blocks, fold }] of walked.entries()) {
      const late = this.#resets.findLate(shard, fold, blocks)
      const numbers = this.#blocksOf(shard, blocks, named, adoptions).union(late)
      const again = { source, shard, walked: blocks, report: this.report, onBlock }
      const isSame = await readAgain(again, numbers, (read) => {
        this.#resets.leaveOut(read)
        const reversal = named[shard]!.get(read.position)
        if (reversal !== undefined) this.#reversals.compare(reversal, read)
        if (keys.length === 0 || !hasUnknownEntries(read.event)) return
        const entries = unknownEntriesOf(read.event!, read.recordedAt)
        posted.add(entries, read, this.#reversals.withdrawalOf(read))
      })
      if (!isSame) return
    }
    for (const { adoption, keys } of adoptions) {
      const wrong = keys.flatMap((key) => posted.compare(key, key.stated!) ?? [])
      const others = wrong.length > 1 ? `; and ${wrong.length - 1} other names` : ''
      if (wrong.length > 0) this.#find(adoption, `${wrong[0]}${others}`)
    }
    this.#end()
  }

  #end(): void {
    this.compared += this.#pending
    this.#resets.compare()
    for (const { keys } of this.#adoptions) for (const key of keys) key.stated = null
    this.#adoptions = []
    this.#reversals.end()
  }

  #checkPlace({ type }: Event, at: string): void {
    const kind = KINDS.get(type)
    if (kind !== undefined) this.report({ kind, at, message: 'only shard 0 can have it' })
  }

  /** Checks that an adoption covers only events before it. */
  #checkHeads({ position, heads, until }: Coverage, sizes: readonly number[]): boolean {
    if (this.#resharding.isBefore(position)) return true
    const areThere = heads.every((head, shard) => head < (sizes[shard] ?? 0))
    if (areThere && heads.length === sizes.length && heads[0]! < position) return true
    this.#find({ position, heads, until }, 'its heads are not positions of the log before it')
    return false
  }

  /** The blocks of a shard with named events, and with entries that adoptions may have taken. */
  #blocksOf(
    shard: number,
    blocks: WalkedBlocks,
    named: NamedEvents,
    adoptions: readonly PendingAdoption[],
  ): Set<number> {
    const numbers = new Set([...named[shard]!.keys()].map(blockOf))
    const through = adoptions.reduce((last, { adoption: { position, heads } }) => {
      return Math.max(last, this.#resharding.isBefore(position) ? Infinity : heads[shard]!)
    }, -1)
    for (const number of blocks.withUnknown()) {
      if (number * BLOCK_EVENTS <= through) numbers.add(number)
    }
    return numbers
  }

  #find({ position }: Coverage, message: string): void {
    this.report({ kind: 'adoption', at: `0/${position}`, message })
  }
}
