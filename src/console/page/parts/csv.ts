/** Without it, Excel reads UTF-8 in the legacy encoding of its locale. */
export const BYTE_ORDER_MARK = '\ufeff'

/** Saves rows as a CSV file (RFC 4180). */
export function saveCsv(name: string, rows: (string | number | bigint | null)[][]): void {
  const text = rows.map((row) => `${row.map(toCell).join(',')}\r\n`).join('')
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([BYTE_ORDER_MARK, text], { type: 'text/csv' }))
  link.download = `${name}.csv`
  link.click()
  URL.revokeObjectURL(link.href)
}

/**
 * Formats a cell of a CSV file. It is quoted if it needs to be, also for spreadsheets that split at
 * semicolons. Text that a spreadsheet would run as a formula gets a leading apostrophe.
 */
export function toCell(value: string | number | bigint | null): string {
  if (value === null) return ''
  if (typeof value !== 'string') return String(value)
  const text = /^\s*[=+\-@＝＋－＠]|^[\t\r\n]/.test(value) ? `'${value}` : value
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
