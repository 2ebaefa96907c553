/** Rows that are sorted and formatted at once: about 10 ms of work. */
export const SLICE_ROWS = 10_000

/** Joins slices: all but the last have at least SLICE_ROWS rows. */
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

/** Splits rows into slices of SLICE_ROWS. */
export function* cutRows<Row>(rows: Iterable<Row>): Generator<Row[]> {
  let slice: Row[] = []
  for (const row of rows) {
    if (slice.push(row) < SLICE_ROWS) continue
    yield slice
    slice = []
  }
  if (slice.length > 0) yield slice
}
