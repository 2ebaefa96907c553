import { describe, expect, test } from 'bun:test'
import {
  COLUMNS,
  EXAMPLE,
  readBalances,
  sumUp,
} from '../../src/console/page/bookkeeping/balances.ts'
import { CsvError } from '../../src/console/page/bookkeeping/read-csv.ts'

const HEADER = COLUMNS.join(',')
const MAX = Number.MAX_SAFE_INTEGER
const withHeader = (...rows: string[]) => [HEADER, ...rows].join('\n')

describe('a file of balances', () => {
  test('is read as the body of the request', () => {
    expect(readBalances(EXAMPLE)).toEqual({
      provider_groups: [{ id: 1, total_requests: 1_000, success_requests: 990 }],
      api_keys: [{ id: 7, total_requests: 1_000, success_requests: 990 }],
      keys: [
        {
          token_hash: '3f08d2',
          ...{ request_count: 3, used_tokens: 50, quota_used: 40 },
          last_accessed_at: 1_700_000_000,
        },
      ],
    })
  })

  test('may have a byte order mark, quotes, CRLF, empty lines and other columns first', () => {
    const text = '\ufeff"requests",successes,id,kind\r\n\r\n" 5 ","4","7","api_key"\r\n'
    expect(readBalances(text)).toEqual({
      api_keys: [{ id: 7, total_requests: 5, success_requests: 4 }],
    })
  })

  test('keeps a hash as it is, and an empty last access is never', () => {
    const { keys } = readBalances(withHeader('key,"a,""b"" ",1,,2,3,'))
    expect(keys).toEqual([
      {
        token_hash: 'a,"b" ',
        ...{ request_count: 1, used_tokens: 2, quota_used: 3, last_accessed_at: 0 },
      },
    ])
  })

  test('may have the same number as a provider group, an API key and a token key', () => {
    const rows = ['provider_group,7,1,1,,,', 'api_key,7,1,1,,,', 'key,7,1,,1,1,']
    expect(Object.keys(readBalances(withHeader(...rows)))).toHaveLength(3)
  })

  test(`counts up to ${MAX} exactly`, () => {
    const row = `api_key,${MAX},${MAX},${MAX},,,`
    expect(readBalances(withHeader(row))).toEqual({
      api_keys: [{ id: MAX, total_requests: MAX, success_requests: MAX }],
    })
  })

  test.each([
    [1, '', 'is empty'],
    [1, HEADER, 'no row follows'],
    [1, 'kind;id;requests\napi_key;1;1', 'has to name columns'],
    [1, 'kind,id,successes\napi_key,1,1', 'has no requests'],
    [1, 'kind,id,requests,id\napi_key,1,1,1', 'has id twice'],
    [1, 'kind,id,requests,name\napi_key,1,1,a', 'it has "name"'],
    [2, withHeader('api_key,1,1'), 'it has 3 cells, and the first line 7'],
    [2, withHeader('group,1,1,1,,,'), 'kind has to be provider_group, api_key or key'],
    [2, withHeader('toString,1,1,1,,,'), 'kind has to be'],
    [3, withHeader('api_key,1,1,1,,,', 'api_key,0,1,1,,,'), 'id has to be a whole number from 1'],
    [2, withHeader('api_key,x,1,1,,,'), 'id has to be a whole number'],
    [2, withHeader('key,,1,,1,1,'), 'id is empty'],
    [2, withHeader(`key,${'x'.repeat(256)},1,,1,1,`), 'more than 255 characters'],
    [2, withHeader('key,a\0b,1,,1,1,'), 'NUL'],
    [2, withHeader('api_key,1,-1,0,,,'), 'requests has to be a whole number from 0'],
    [2, withHeader('api_key,1,1.5,0,,,'), 'requests has to be a whole number'],
    [2, withHeader('api_key,1,1e3,0,,,'), 'requests has to be a whole number'],
    [2, withHeader('api_key,1,"1,000",0,,,'), 'requests has to be a whole number'],
    [2, withHeader('api_key,1,9007199254740992,0,,,'), `to ${MAX}, not "9007199254740992"`],
    [2, withHeader('api_key,1,5,,,,'), 'successes is empty'],
    [2, withHeader('api_key,1,5,6,,,'), 'more successes than requests'],
    [2, withHeader('api_key,1,5,5,1,,'), 'tokens has to be empty if kind is api_key'],
    [2, withHeader('key,a,5,5,1,1,'), 'successes has to be empty if kind is key'],
    [2, withHeader('key,a,5,,,1,'), 'tokens is empty'],
    [2, withHeader('key,a,5,,1,1,1700000000000'), 'has to be in Unix seconds'],
    [4, withHeader('key,a,1,,1,1,', '', 'key,a,1,,1,1,'), 'token key a is in line 2 already'],
    [3, withHeader('api_key,7,1,1,,,', 'api_key,007,1,1,,,'), 'API key 7 is in line 2 already'],
    [4, withHeader('key,"a\nb",1,,1,1,', 'key,c,x,,1,1,'), 'requests has to be a whole number'],
  ])('is refused in line %p: %p (%s)', (line, text, message) => {
    const read = () => readBalances(text)
    expect(read).toThrow(CsvError)
    expect(read).toThrow(`Line ${line}: `)
    expect(read).toThrow(message)
  })
})

test('balances are summed up exactly, by kind', () => {
  const row = (id: number) => `api_key,${id},${MAX},1,,,`
  const text = withHeader(row(1), row(2), row(3), 'key,a,3,,50,40,')
  expect(sumUp(readBalances(text))).toEqual([
    {
      ...{ name: 'API key', rows: 3 },
      sums: [
        ['requests', 27_021_597_764_222_973n],
        ['successes', 3n],
      ],
    },
    {
      ...{ name: 'token key', rows: 1 },
      sums: [
        ['requests', 3n],
        ['tokens', 50n],
        ['quota used', 40n],
      ],
    },
  ])
})
