/** Ids below have a place of their own: those that a gateway's database gives out one by one. */
const PLACES = 2 ** 20

const MAX_ROUND = 2 ** 32 - 1

/**
 * Numbers the distinct ids of one round 0, 1, 2, … in the order of their first appearance: small
 * ids in a tenth of the time of a Map. A round ends where the next begins.
 */
export class IdSlots {
  /** How many distinct ids this round has. */
  count = 0
  /** In which round an id was numbered last, and how. */
  readonly #rounds = new Uint32Array(PLACES)
  readonly #slots = new Uint32Array(PLACES)
  readonly #others = new Map<number, number>()
  #round = 0

  begin(): void {
    this.count = 0
    if (this.#others.size > 0) this.#others.clear()
    if (this.#round === MAX_ROUND) {
      this.#rounds.fill(0)
      this.#round = 0
    }
    this.#round++
  }

  slotOf(id: number): number {
    if (id >= PLACES) return this.#otherSlotOf(id)
    if (this.#rounds[id] === this.#round) return this.#slots[id]!
    this.#rounds[id] = this.#round
    this.#slots[id] = this.count
    return this.count++
  }

  #otherSlotOf(id: number): number {
    const known = this.#others.get(id)
    if (known !== undefined) return known
    this.#others.set(id, this.count)
    return this.count++
  }
}
