import { describe, expect, test } from 'bun:test'
import { CsvError, readCsv } from '../../src/console/page/bookkeeping/read-csv.ts'
import { toCell } from '../../src/console/page/parts/csv.ts'

const cellsOf = (text: string) => readCsv(text).map(({ cells }) => cells)

describe('a CSV file', () => {
  test.each([
    ['', []],
    ['\ufeff', []],
    ['a,b', [['a', 'b']]],
    ['a,b\r\nc,d\r\n', [['a', 'b'], ['c', 'd']]], // biome-ignore format: a row a line
    ['a,b\nc,d', [['a', 'b'], ['c', 'd']]], // biome-ignore format: a row a line
    ['a,b\rc,d\r', [['a', 'b'], ['c', 'd']]], // biome-ignore format: a row a line
    ['\ufeffa,b\n', [['a', 'b']]],
    ['\ufeff"a",b\n', [['a', 'b']]],
    [',\n', [['', '']]],
    ['a,', [['a', '']]],
    ['a,\n,b', [['a', ''], ['', 'b']]], // biome-ignore format: a row a line
    ['"a,b",c', [['a,b', 'c']]],
    ['"say ""hi""",""', [['say "hi"', '']]],
    ['"a\r\nb",c\r\n', [['a\r\nb', 'c']]],
    [' a , b ', [[' a ', ' b ']]],
    ['a;b', [['a;b']]],
  ])('%p is read as %p', (text, records) => {
    expect(cellsOf(text)).toEqual(records)
  })

  test('numbers lines as an editor does, also after empty lines and cells with lines', () => {
    const text = 'a\r\n\r\n"b\r\nb\n"\nc\n\n\rd'
    expect(readCsv(text)).toEqual([
      { line: 1, cells: ['a'] },
      { line: 3, cells: ['b\r\nb\n'] },
      { line: 6, cells: ['c'] },
      { line: 9, cells: ['d'] },
    ])
  })

  test.each([
    ['a\n"b', 2, 'never closed'],
    ['a\n\n"b"c,d\n', 3, 'after the closing quotation mark'],
    ['a\nb"c"\n', 2, 'has to be quoted as a whole'],
    ['"a\nb"\n"c\n""\n', 3, 'never closed'],
  ])('%p is refused in line %p: %s', (text, line, message) => {
    const read = () => readCsv(text)
    expect(read).toThrow(CsvError)
    expect(read).toThrow(new RegExp(`^Line ${line}: .*${message}`))
  })

  test('that the console wrote is read as the same cells', () => {
    const rows = [
      ['a,b', 'say "hi"', 'two\r\nlines', ''],
      ['', 'ü 日本 🎉', ';', '"'],
    ]
    const text = rows.map((row) => `${row.map(toCell).join(',')}\r\n`).join('')
    expect(cellsOf(`\ufeff${text}`)).toEqual(rows)
  })

  test('with a cell of millions of characters is read', () => {
    const long = 'x"\n'.repeat(1_000_000)
    expect(cellsOf(`"${long.replaceAll('"', '""')}"`)[0]![0]).toHaveLength(long.length)
  })
})
