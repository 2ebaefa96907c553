/** Characters of a dictionary at most: 60,000 token hashes. Readers hold it in memory. */
export const MAX_DICTIONARY_CHARACTERS = 4 * 1024 * 1024

/**
 * The texts that the blocks of a segment share, such as the hashes of token keys: a flush of 100
 * names 100 of perhaps 10,000, and each takes 32 bytes, however it is compressed.
 */
export class Dictionary {
  readonly texts: string[] = []
  readonly #numbers = new Map<string, number>()
  #characters = 0

  /** Returns the number of a text, which is added if there is room; null if there is none. */
  numberOf(text: string): number | null {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    if (this.#characters + text.length > MAX_DICTIONARY_CHARACTERS) return null
    this.#characters += text.length
    this.#numbers.set(text, this.texts.length)
    return this.texts.push(text) - 1
  }
}
