/** Without it Excel takes UTF-8 for the encoding of some country. */
export const BYTE_ORDER_MARK = '\ufeff'

/** Gives the reader a file of rows: what they see, as CSV (RFC 4180). */
export function saveCsv(name: string, rows: (string | number | bigint | null)[][]): void {
  const text = rows.map((row) => `${row.map(toCell).join(',')}\r\n`).join('')
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([BYTE_ORDER_MARK, text], { type: 'text/csv' }))
  link.download = `${name}.csv`
  link.click()
  URL.revokeObjectURL(link.href)
}

/**
 * In quotes where it has to be, also where the spreadsheet of some country would split it; what one
 * would run gets an apostrophe before it.
 */
export function toCell(value: string | number | bigint | null): string {
  if (value === null) return ''
  if (typeof value !== 'string') return String(value)
  const text = /^\s*[=+\-@＝＋－＠]|^[\t\r\n]/.test(value) ? `'${value}` : value
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
