/** What to fold: the rest is left out, which saves memory. */
export type FoldedParts = { counters: boolean; usage: boolean; catalog: boolean }

/** 15-minute buckets from `from` on, before `before`, by their start as in a digest row. */
export type UsageRange = { from?: string | undefined; before?: string | undefined }

/** Of backdated usage, the rows with positions after `after` through `through`. */
export type RecordedRange = { after: number; through: number }
