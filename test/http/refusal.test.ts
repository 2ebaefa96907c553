import { expect, test } from 'bun:test'
import { parseCatalog } from '../../src/http/catalog/model.ts'
import { parseFlush } from '../../src/http/flushes/model.ts'

const BODY = 'invalid request body'
const NUMBERS = 'invalid stats payload'

/** The entries before those under test: two valid ones, and one that is skipped. */
const before = '{"api_key_id":1},null,{"api_key_id":0,"requests":-1}'
const flush = (...entries: string[]) => `{"keys":[${before},${entries.join(',')}]}`
const keyBefore = '{"token_hash":"a"},null,{"token_hash":" ","requests":-1}'
const keyFlush = (...entries: string[]) => `{"keys":[${keyBefore},${entries.join(',')}]}`

const API_KEY_FLUSHES: [body: string, error: string, detail: string][] = [
  ['', BODY, 'The body is not JSON.'],
  ['{"keys":[]} x', BODY, 'The body is not JSON.'],
  ['[]', BODY, 'The body is not an object.'],
  ['7', BODY, 'The body is not an object.'],
  ['{"key":[]}', BODY, 'The body lacks the field keys.'],
  ['{"keys":{}}', BODY, 'keys is not an array.'],
  ['{"keys":false}', BODY, 'keys is not an array.'],
  [flush('7'), BODY, 'keys[3] is not an object.'],
  [flush('[]'), BODY, 'keys[3] is not an object.'],
  [
    flush('{"id":1}'),
    BODY,
    'keys[3] has none of the fields api_key_id, api_key, requests, success_requests.',
  ],
  [flush('{"api_key_id":"1"}'), BODY, 'keys[3].api_key_id is not a number.'],
  [flush('{"api_key":1}'), BODY, 'keys[3].api_key is not a string.'],
  [flush('{"api_key":"a\\u0000"}'), BODY, 'keys[3].api_key contains a NUL.'],
  [flush('{"api_key":"a","requests":-1}'), NUMBERS, 'keys[3].requests is negative.'],
  [flush('{"api_key_id":-1}'), BODY, 'keys[3].api_key_id is negative.'],
  [flush('{"api_key_id":1.5}'), BODY, 'keys[3].api_key_id is not a whole number.'],
  [
    flush('{"api_key_id":2}', '{"api_key_id":3,"requests":9007199254740992}'),
    BODY,
    'keys[4].requests exceeds 9007199254740991.',
  ],
  [flush('{"api_key_id":1,"requests":1e400}'), BODY, 'keys[3].requests exceeds 9007199254740991.'],
  [flush('{"api_key_id":1,"requests":-1e400}'), BODY, 'keys[3].requests is not a whole number.'],
  [flush('{"api_key_id":1,"requests":-1e17}'), BODY, 'keys[3].requests is negative.'],
  // The types of a skipped entry are checked too, but not its ranges.
  [flush('{"api_key_id":0,"requests":true}'), BODY, 'keys[3].requests is not a number.'],
  [flush('{"api_key_id":1,"requests":-1}'), NUMBERS, 'keys[3].requests is negative.'],
  [
    flush('{"api_key_id":1,"success_requests":-1}'),
    NUMBERS,
    'keys[3].success_requests is negative.',
  ],
  [
    flush('{"api_key_id":1,"requests":3,"success_requests":4}'),
    NUMBERS,
    'keys[3].success_requests exceeds requests.',
  ],
  [
    flush('{"api_key_id":1,"success_requests":1}', '{"api_key_id":1,"requests":-1}'),
    NUMBERS,
    'keys[3].success_requests exceeds requests.',
  ],
  // An error of the shape takes precedence, wherever it is.
  [flush('{"api_key_id":1,"requests":-1}', '"x"'), BODY, 'keys[4] is not an object.'],
]

test.each(API_KEY_FLUSHES)(
  'the flush of API keys %p is refused as %p: %p',
  (body, error, detail) => {
    expect(parseFlush('ApiKeyStatsFlushed', body, false)).toEqual({ error, detail } as never)
  },
)

const KEY_FLUSHES: typeof API_KEY_FLUSHES = [
  ['nul', BODY, 'The body is not JSON.'],
  [
    keyFlush('{"hash":"a"}'),
    BODY,
    'keys[3] has none of the fields token_hash, requests, tokens, last_accessed_at.',
  ],
  [keyFlush('{"token_hash":7}'), BODY, 'keys[3].token_hash is not a string.'],
  [keyFlush('{"token_hash":"a\\u0000b"}'), BODY, 'keys[3].token_hash contains a NUL.'],
  [keyFlush('{"token_hash":"a","tokens":"5"}'), BODY, 'keys[3].tokens is not a number.'],
  [keyFlush('{"token_hash":"a","requests":-1}'), NUMBERS, 'keys[3].requests is negative.'],
  [keyFlush('{"token_hash":"a","tokens":-1}'), NUMBERS, 'keys[3].tokens is negative.'],
  [
    keyFlush('{"token_hash":"a","last_accessed_at":-1}'),
    NUMBERS,
    'keys[3].last_accessed_at is negative.',
  ],
  [
    keyFlush('{"token_hash":"a","last_accessed_at":253402300800}'),
    NUMBERS,
    'keys[3].last_accessed_at is after the year 9999.',
  ],
]

test.each(KEY_FLUSHES)('the flush of token keys %p is refused as %p: %p', (body, error, detail) => {
  expect(parseFlush('KeyStatsFlushed', body, false)).toEqual({ error, detail } as never)
})

const CATALOGS: [body: string, detail: string][] = [
  ['{', 'The body is not JSON.'],
  ['[]', 'The body: Expected object.'],
  ['{"api_keys":{}}', 'api_keys: Expected array.'],
  ['{"api_keys":[{"id":1},7]}', 'api_keys[1]: Expected object.'],
  ['{"api_keys":[{"id":1},{"id":2,"more":1}]}', 'api_keys[1].more: Unexpected property.'],
  [
    '{"provider_groups":[{"id":1},{"name":"x"}]}',
    'provider_groups[1] has neither id nor external_id.',
  ],
  [
    '{"api_keys":[{"external_id":"a"},{"id":1,"external_id":"a"}]}',
    'api_keys[1] repeats the row of api_keys[0].',
  ],
  [
    '{"api_keys":[{"external_id":"\\ud800"}]}',
    'api_keys[0].external_id contains a NUL or a lone surrogate.',
  ],
  ['{"keys":[{"token_hash":" a"}]}', 'keys[0].token_hash has leading or trailing white space.'],
  [
    '{"keys":[{"token_hash":"a"},{"token_hash":"b","name":"\\u0000"}]}',
    'keys[1].name contains a NUL or a lone surrogate.',
  ],
  ['{"keys":[{"token_hash":"\\ud800"}]}', 'keys[0].token_hash contains a NUL or a lone surrogate.'],
  ['{"api_keys":[{"id":4},{"id":5},{"id":4}]}', 'api_keys[2] repeats the row of api_keys[0].'],
]

test.each(CATALOGS)('the catalog %p is refused: %p', (body, detail) => {
  expect(parseCatalog(body)).toBe(detail)
})

test('a long unknown field name is shortened in the message', () => {
  expect(parseCatalog(`{"${'x'.repeat(10_000)}":1}`)).toHaveLength(121)
})
