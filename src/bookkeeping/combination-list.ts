/** The combinations of an event, each once. */
export class CombinationList {
  readonly texts: string[] = []
  readonly #indexes = new Map<string, number>()

  /** Returns the index of a combination, which is added if it is new; null for none. */
  indexOf(combination: string | null): number | null {
    if (combination === null) return null
    const found = this.#indexes.get(combination)
    if (found !== undefined) return found
    const index = this.texts.push(combination) - 1
    this.#indexes.set(combination, index)
    return index
  }
}
