/** A record of a CSV file, and the number of the line on which it begins. */
export type CsvRecord = { line: number; cells: string[] }

/** Why a CSV file can't be read, in a sentence that names the line. */
export class CsvError extends Error {
  override name = 'CsvError'

  constructor(
    readonly line: number,
    message: string,
  ) {
    super(`Line ${line}: ${message}`)
  }
}

/** A cell, quoted or not, and what ends it. */
const CELL = /(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/y

/**
 * Reads the records of a CSV file (RFC 4180), with any line ends and with or without a byte order
 * mark. Empty lines are left out. Throws CsvError.
 */
export function readCsv(text: string): CsvRecord[] {
  const records: CsvRecord[] = []
  let at = text.startsWith('\ufeff') ? 1 : 0
  let line = 1
  let record: CsvRecord = { line, cells: [] }
  while (at < text.length || record.cells.length > 0) {
    CELL.lastIndex = at
    const found = CELL.exec(text)
    if (found === null) throw new CsvError(line, faultAt(text, at))
    const [whole, quoted, plain, end] = found
    at += whole.length
    record.cells.push(quoted === undefined ? plain! : quoted.replaceAll('""', '"'))
    line += quoted === undefined ? 0 : countLineEnds(quoted)
    if (end === ',') continue
    if (record.cells.length > 1 || record.cells[0] !== '') records.push(record)
    line++
    record = { line, cells: [] }
  }
  return records
}

const countLineEnds = (text: string) => text.match(/\r\n|\n|\r/g)?.length ?? 0

function faultAt(text: string, at: number): string {
  if (text[at] !== '"') return 'a cell with a quotation mark has to be quoted as a whole.'
  return /^"[^"]*(?:""[^"]*)*"(?!")/.test(text.slice(at))
    ? 'there is text after the closing quotation mark of a cell.'
    : 'a quotation mark is never closed.'
}
