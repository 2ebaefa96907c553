import { createHash } from 'node:crypto'

/** Characters of 4 bits. Of 10,000 combinations, two have the same hash in 1 of 10^11 cases. */
const LENGTH = 16

/**
 * Returns the hash under which an account accepts a combination: of `{"model":"gpt-5"}` it is
 * `777710df5ad26b12`. The text can be longer than an index entry may be.
 */
export const hashCombination = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, LENGTH)
