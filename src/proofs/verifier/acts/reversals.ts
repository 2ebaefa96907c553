import type { Location } from '../../../events/positions.ts'
import type { Reversal } from '../../../events/types/event-reversed.ts'
import type { OnFinding } from '../finding.ts'
import { usageTimeOf } from '../usage-time.ts'
import type { AdoptedKeys } from './adopted-keys.ts'
import type { ReadEvent } from './read-again.ts'
import type { Resets } from './resets.ts'
import type { Resharding } from './resharding.ts'
import {
  type AmountHashes,
  amountsToReverse,
  type Reversible,
  statedAmounts,
} from './reversed-amounts.ts'

/** A reversal that was not compared yet. */
export type PendingReversal = Pick<Reversal, 'reversed' | 'type' | 'at'> & {
  position: number
  version: number
  amounts: AmountHashes
}

/** For each shard, the pending reversals by the position of the event that they name. */
export type NamedEvents = readonly ReadonlyMap<number, PendingReversal>[]

/**
 * The reversals of a log, which are compared with the events that they name. Of those that were
 * compared, only the places are kept.
 */
export class Reversals {
  /** Reversals from before a resharding that does not state where the reversed events are. */
  unlisted = 0
  /** By the place of the reversed event. */
  readonly #byPlace = new Map<string, { position: number; version: number }>()
  #pending: PendingReversal[] = []

  constructor(
    private readonly adopted: AdoptedKeys,
    private readonly resets: Resets,
    private readonly resharding: Resharding,
    private readonly report: OnFinding,
  ) {}

  /** The number of reversals that were not compared yet. */
  get pending(): number {
    return this.#pending.length
  }

  add(reversal: Reversal, position: number, version: number): void {
    const { reversed, type, at } = reversal
    const amounts = statedAmounts(reversal)
    this.#pending.push({ position, version, reversed, type, at, amounts })
  }

  /** Returns how many events a shard must have for the pending reversals. */
  sizeOf(shard: number): number {
    return this.#pending.reduce((size, { position, reversed }) => {
      const named = this.resharding.find(position, reversed)
      const isThere = typeof named === 'object' && named.shard === shard
      return isThere ? Math.max(size, named.position + 1) : size
    }, 0)
  }

  /**
   * Returns the events that pending reversals name. Reports a reversal that names none, or one that
   * was reversed before. `sizes` are the numbers of events of each shard.
   */
  findNamed(sizes: readonly number[]): NamedEvents {
    const named = sizes.map(() => new Map<number, PendingReversal>())
    for (const reversal of this.#pending.splice(0)) {
      const place = this.resharding.find(reversal.position, reversal.reversed)
      if (place === 'unlisted') {
        this.unlisted++
        continue
      }
      this.#pending.push(reversal)
      const why =
        place === 'missing' ? 'nothing states where it is' : this.#refuse(reversal, place, sizes)
      if (why !== null) this.#find(reversal, `it names ${reversal.reversed}, but ${why}`)
      else if (place !== 'missing') named[place.shard]!.set(place.position, reversal)
    }
    return named
  }

  /** Returns why a reversal can't name an event, or null. */
  #refuse(
    { position, version }: PendingReversal,
    named: Location,
    sizes: readonly number[],
  ): string | null {
    const place = placeOf(named)
    const first = this.#byPlace.get(place) ?? { position, version }
    this.#byPlace.set(place, first)
    if (first.position !== position) return `0/${first.position} has reversed it already`
    if (named.position >= (sizes[named.shard] ?? 0)) return 'there is no such event'
    return named.shard === 0 && named.position >= position ? 'it comes later' : null
  }

  /**
   * Returns the position of the reversal that has withdrawn the entries of a flush for unknown
   * keys, or Infinity if there is none. One of version 1 withdraws nothing.
   */
  withdrawalOf(flush: Location): number {
    const reversal = this.#byPlace.get(placeOf(flush))
    return reversal !== undefined && reversal.version > 1 ? reversal.position : Infinity
  }

  /** Compares a reversal with the event that it names. */
  compare(reversal: PendingReversal, read: ReadEvent): void {
    const why = this.#findDifference(reversal, read)
    if (why !== null) this.#find(reversal, `of ${placeOf(read)}: ${why}`)
  }

  #findDifference(
    { position, version, type, at, amounts }: PendingReversal,
    read: ReadEvent,
  ): string | null {
    const { event, recordedAt } = read
    if (event?.type !== type) return `that is not a ${type} that can be read`
    const time = timeOf(event, recordedAt)
    if (at !== time) return `it states ${at} as its time, which is ${time}`
    const { counted, withdrawn } = amountsToReverse(event, recordedAt, {
      adoptedAs: ({ kind, name }) => {
        const key = this.adopted.find(kind, name, read)
        return key !== undefined && key.adoption.position < position ? key : undefined
      },
      isReset: (hash) => this.resets.has(hash, recordedAt, position),
    })
    if (counted !== amounts.counted) return 'it takes back other amounts than were counted'
    const isFlush = event.type === 'ApiKeyStatsFlushed' || event.type === 'KeyStatsFlushed'
    if (isFlush && counted === null) return 'that has counted nothing'
    if (withdrawn === amounts.withdrawn) return null
    // Before there were adoptions, a reversal said nothing of unknown keys.
    if (version === 1 && position < this.adopted.first) return null
    return 'it withdraws other entries of unknown keys than were left'
  }

  /** Forgets all but the places of reversals that were compared. */
  end(): void {
    this.#pending = []
  }

  #find({ position }: PendingReversal, message: string): void {
    this.report({ kind: 'reversal', at: `0/${position}`, message })
  }
}

/** The time of an event as a reversal states it. */
function timeOf({ type, data }: Reversible, recordedAt: string): string {
  if (type === 'BalancesOpened') return data.as_of
  return type === 'TotalsAdjusted' ? recordedAt : usageTimeOf(data.counted_at, recordedAt)
}

const placeOf = ({ shard, position }: Location) => `${shard}/${position}`
