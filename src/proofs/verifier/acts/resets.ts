import { formatPositions } from '../../../events/positions.ts'
import type { QuotaReset } from '../../../events/types/quota-reset.ts'
import type { OnFinding } from '../finding.ts'
import { ShardFold } from '../fold.ts'
import type { WalkedBlocks } from '../walked-blocks.ts'
import type { ReadEvent } from './read-again.ts'
import type { Resharding } from './resharding.ts'

/** The quota of a key that the first `size` events of a shard have used. */
type Counted = { quota: bigint; size: number }

/** The sum when the walk was at `size`; `isLate` if it was past the time of the reset already. */
type Passed = Counted & { isLate: boolean }

/** A reset that was not compared yet. */
type PendingReset = {
  position: number
  at: string
  through: string
  hash: string
  took: bigint
  /** By shard. Shards are missing in which the walk has not passed the time of the reset. */
  passed: (Passed | undefined)[]
  /** By shard: of the events recorded at the time of the reset or before. */
  until: Counted[]
}

/**
 * The resets of a log, which are compared with what had counted until then. In the walk of a shard
 * the sum is taken before the first event that was recorded after the time of the reset. Where the
 * walk is further than that when it learns of the reset, as in shard 0 between the decision and the
 * event, the events since then are read again at its end and left out.
 */
export class Resets {
  /** All resets of each token key. */
  readonly #byKey = new Map<string, { position: number; at: string }[]>()
  #pending: PendingReset[] = []
  /** By shard: the pending resets whose time the walk has not passed, the earliest last. */
  #ahead: (PendingReset[] | undefined)[] = []
  /** By shard: the pending resets whose sums have events that were recorded later. */
  #late: PendingReset[][] = []

  constructor(
    private readonly resharding: Resharding,
    private readonly report: OnFinding,
  ) {}

  /** The number of resets that were not compared yet. */
  get pending(): number {
    return this.#pending.length
  }

  /** True if the quota of a key was reset at `recordedAt` or later, but before `position`. */
  has(hash: string, recordedAt: string, position: number): boolean {
    const resets = this.#byKey.get(hash) ?? []
    return resets.some((reset) => reset.position < position && reset.at >= recordedAt)
  }

  /** Adds a reset that is about to be folded in shard 0. */
  add({ at, through, keys }: QuotaReset, position: number, fold: ShardFold): void {
    const hash = keys.hashes[0]!
    const took = keys.quota_used.reduce((sum, quota) => sum + BigInt(quota), 0n)
    const passed = [sumOf(fold, hash, at)]
    this.#pending.push({ position, at, through, hash, took, passed, until: [] })
    this.#ahead = []
    const ofKey = this.#byKey.get(hash) ?? []
    this.#byKey.set(hash, ofKey)
    ofKey.push({ position, at })
  }

  /** Notes that an event is about to be folded. */
  pass(shard: number, recordedAt: string, fold: ShardFold): void {
    if (this.#pending.length === 0) return
    const ahead = this.#aheadIn(shard)
    for (let next = ahead.at(-1); next && next.at < recordedAt; next = ahead.at(-1)) {
      next.passed[shard] = sumOf(fold, next.hash, next.at)
      ahead.pop()
    }
  }

  #aheadIn(shard: number): PendingReset[] {
    const known = this.#ahead[shard]
    if (known !== undefined) return known
    const ahead = this.#pending
      .filter(({ passed }) => passed[shard] === undefined)
      .sort((a, b) => (a.at < b.at ? 1 : -1))
    this.#ahead[shard] = ahead
    return ahead
  }

  /** Returns how many events a shard must have for the pending resets. */
  sizeOf(shard: number): number {
    return this.#pending.reduce((size, { position, through }) => {
      if (this.resharding.isBefore(position)) return size
      const head = through.split(',').find((part) => part.startsWith(`${shard}/`))
      return Math.max(size, Number(head?.split('/')[1] ?? -1) + 1)
    }, 0)
  }

  /** Completes the sums of a walked shard. Returns the blocks of events to leave out of them. */
  findLate(shard: number, fold: ShardFold, blocks: WalkedBlocks): Set<number> {
    this.#late[shard] = []
    const numbers = new Set<number>()
    for (const reset of this.#pending) {
      const { at, hash, passed } = reset
      const { quota, size, isLate } = passed[shard] ?? sumOf(fold, hash, at)
      passed[shard] = { quota, size, isLate }
      reset.until[shard] = { quota, size }
      if (!isLate) continue
      this.#late[shard].push(reset)
      for (const number of blocks.recordedAfter(at, size)) numbers.add(number)
    }
    return numbers
  }

  /** Leaves an event that is read again out of the sums of earlier resets. */
  leaveOut({ shard, position, recordedAt, event }: ReadEvent): void {
    for (const { at, hash, passed, until } of this.#late[shard]!) {
      if (position >= passed[shard]!.size || recordedAt <= at) continue
      const fold = new ShardFold(COUNTERS)
      fold.add(event, position, recordedAt)
      const { quota, size } = until[shard]!
      until[shard] = { quota: quota - quotaOf(fold, hash), size: Math.min(size, position) }
    }
  }

  /** Compares the pending resets, whose sums are complete. */
  compare(): void {
    for (const reset of this.#pending) {
      const message = this.#findDifference(reset)
      if (message !== null) this.report({ kind: 'reset', at: `0/${reset.position}`, message })
    }
    this.#pending = []
    this.#ahead = []
  }

  #findDifference({ position, at, through, took, until }: PendingReset): string | null {
    const had = until.reduce((sum, { quota }) => sum + quota, 0n)
    if (took !== had) return `it took ${took} away, but ${had} had counted until ${at}`
    if (this.resharding.isBefore(position)) return null
    const positions = formatPositions(until.map(({ size }) => size - 1))
    return through === positions ? null : `the log had ${positions} at ${at}, not ${through}`
  }
}

/** Takes the sum of all that a shard has folded. */
function sumOf(fold: ShardFold, hash: string, at: string): Passed {
  const { position, recordedAt } = fold
  return { quota: quotaOf(fold, hash), size: position + 1, isLate: recordedAt > at }
}

const quotaOf = (fold: ShardFold, hash: string) => BigInt(fold.keys.get(hash)?.[2] ?? 0)

/** Only counters have quotas. */
const COUNTERS = { counters: true, usage: false, catalog: false }
