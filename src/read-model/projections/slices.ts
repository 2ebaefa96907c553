/** Rows that are sorted and written as text at once: some ten milliseconds. */
export const SLICE_ROWS = 10_000

/** The same rows in fewer slices: none but the last has less than SLICE_ROWS. */
export function* joinSlices<Row>(slices: Iterable<Row[]>): Generator<Row[]> {
  let joined: Row[] = []
  for (const slice of slices) {
    joined = joined.length === 0 ? slice : joined.concat(slice)
    if (joined.length < SLICE_ROWS) continue
    yield joined
    joined = []
  }
  if (joined.length > 0) yield joined
}

/** All rows, SLICE_ROWS at a time. */
export function* cutRows<Row>(rows: Iterable<Row>): Generator<Row[]> {
  let slice: Row[] = []
  for (const row of rows) {
    if (slice.push(row) < SLICE_ROWS) continue
    yield slice
    slice = []
  }
  if (slice.length > 0) yield slice
}
