/** A fault that a colleague could make, and where the tests should catch it. */
export type Mutation = {
  name: string
  /** From the root of the repository. */
  file: string
  /** Occurs once in the file. */
  find: string
  replace: string
  /** What a user would suffer. */
  harm: string
  /** How paths of tests begin, the nearest first: each is a run, and the whole suite is the last. */
  tests: readonly string[]
}

/** Makes the fault in the text of its file. Throws where the text to find isn't there once. */
export function mutate(text: string, { name, file, find, replace }: Mutation): string {
  const parts = text.split(find)
  if (parts.length === 2) return parts.join(replace)
  throw new Error(`${name}: ${file} has ${parts.length - 1} places to change, not one`)
}
