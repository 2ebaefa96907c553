/** A fault that a colleague could introduce, and the tests that should catch it. */
export type Mutation = {
  name: string
  /** The path from the root of the repository. */
  file: string
  /** The text to replace, which occurs exactly once in the file. */
  find: string
  replace: string
  /** How a user would be affected. */
  harm: string
  /** Prefixes of test paths, nearest first. Each is one run; the last run is the whole suite. */
  tests: readonly string[]
}

/** Makes the fault in the text of its file. Throws unless `find` occurs exactly once. */
export function mutate(text: string, { name, file, find, replace }: Mutation): string {
  const parts = text.split(find)
  if (parts.length === 2) return parts.join(replace)
  throw new Error(`${name}: ${file} has ${parts.length - 1} places to change, not one`)
}
