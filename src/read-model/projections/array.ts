/** PostgreSQL's text of an array of numbers, a value a row. */
export function toArray<Row>(rows: readonly Row[], value: (row: Row) => number | bigint): string {
  return `{${rows.map(value).join(',')}}`
}

/** PostgreSQL's text of an array of texts, a value a row; null stays null. */
export function toTextArray<Row>(rows: readonly Row[], value: (row: Row) => string | null): string {
  const quote = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`
  return `{${rows
    .map((row) => {
      const text = value(row)
      return text === null ? 'null' : quote(text)
    })
    .join(',')}}`
}

/** The text of one array of the values of several. */
export function joinArrays(arrays: readonly string[]): string {
  const texts = arrays.map((text) => text.slice(1, -1)).filter((text) => text !== '')
  return `{${texts.join(',')}}`
}
