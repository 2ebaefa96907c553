/** Ids below this are given to new rows, one above the other. */
export const END_OF_IDS = 2 ** 52

/**
 * The external ids of one kind of row, retired ones included, and the highest id. An external id
 * names the same row forever, so it can be looked up in an older state of the catalog.
 */
export class ExternalIds {
  readonly #ids = new Map<string, number>()
  readonly #externalIds = new Map<number, string>()
  #highest = 0

  /** Returns the id of the row with an external id, or null if there is none. */
  readonly idOf = (externalId: string): number | null => this.#ids.get(externalId) ?? null

  /** Returns the external id of a row, or null if it has none. */
  readonly externalIdOf = (id: number): string | null => this.#externalIds.get(id) ?? null

  /** Returns the id of a new row: above all that were ever used, and above `ids`, below 2^52. */
  nextAbove(ids: readonly number[]): number {
    const most = (highest: number, id: number) =>
      id < END_OF_IDS ? Math.max(highest, id) : highest
    return 1 + ids.reduce(most, this.#highest)
  }

  add({ id, external_id }: { id: number; external_id?: string }): void {
    if (id > this.#highest && id < END_OF_IDS) this.#highest = id
    if (external_id === undefined) return
    this.#ids.set(external_id, id)
    this.#externalIds.set(id, external_id)
  }

  clear(): void {
    this.#ids.clear()
    this.#externalIds.clear()
    this.#highest = 0
  }
}
