import { describe, expect, test } from 'bun:test'
import { toCell } from '../../src/console/page/parts/csv.ts'

/** Parses a row as RFC 4180 defines it, independently of the code that writes it. */
function readRow(text: string, separator: string): string[] {
  const cells: string[] = []
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^"${separator}]*))(${separator}|$)`, 'gy')
  for (let found = cell.exec(text); found; found = cell.exec(text)) {
    cells.push(found[1]?.replaceAll('""', '"') ?? found[2]!)
    if (found[3] === '') break
  }
  return cells
}

describe('a cell', () => {
  test.each([
    ['plain', 'plain'],
    ['', ''],
    [null, ''],
    [0, '0'],
    [-5, '-5'],
    [9_007_199_254_740_993n, '9007199254740993'],
    ['ü 日本 🎉', 'ü 日本 🎉'],
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['two\nlines', '"two\nlines"'],
    ['two\r\nlines', '"two\r\nlines"'],
    // Spreadsheets of some countries split at these.
    ['a;b', '"a;b"'],
    ['a\tb', '"a\tb"'],
  ])('%p is written as %p', (value, text) => {
    expect(toCell(value)).toBe(text)
  })

  test.each([
    ...['=1+1', '+1', '-1', '@SUM(A1)', '=HYPERLINK("http://x";"y")', "=cmd|' /C calc'!A0"],
    ...['\t=1', '\r=1', '\n=1', ' =1', '＝1+1', '＋1', '－1', '＠x'],
  ])('%p is written so that no spreadsheet runs it', (value) => {
    const [read] = readRow(toCell(value), ',')
    expect(read).toBe(`'${value}`)
  })

  test('hides no formula behind the separator of another locale', () => {
    for (const separator of [',', ';', '\t']) {
      const row = ['x', `a${separator}=1+1`, 'y'].map(toCell).join(separator)
      expect(readRow(row, separator)).toEqual(['x', `a${separator}=1+1`, 'y'])
    }
  })
})
