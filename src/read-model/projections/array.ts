/** Formats one number per row as a PostgreSQL array literal. */
export function toArray<Row>(rows: readonly Row[], value: (row: Row) => number | bigint): string {
  return `{${rows.map(value).join(',')}}`
}

/** Formats one string per row as a PostgreSQL array literal; null stays null. */
export function toTextArray<Row>(rows: readonly Row[], value: (row: Row) => string | null): string {
  // Many rows have the same combination, which takes long to quote.
  const quoted = new Map<string, string>()
  const quote = (text: string) => {
    if (!text.includes('"') && !text.includes('\\')) return `"${text}"`
    const known = quoted.get(text) ?? `"${text.replace(/["\\]/g, '\\$&')}"`
    quoted.set(text, known)
    return known
  }
  return `{${rows
    .map((row) => {
      const text = value(row)
      return text === null ? 'null' : quote(text)
    })
    .join(',')}}`
}

/** Concatenates several array literals into one. */
export function joinArrays(arrays: readonly string[]): string {
  const texts = arrays.map((text) => text.slice(1, -1)).filter((text) => text !== '')
  return `{${texts.join(',')}}`
}
