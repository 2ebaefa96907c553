import fc from 'fast-check'

/** The parts of a request line, as they are sent. */
export type FuzzedRequest = { method: string; path: string; query: string }

const JUNK = [
  ...[
    '',
    '%00',
    'a%00b',
    '%ff',
    '%c3%28',
    '%zz',
    '%',
    '%2',
    '%25',
    '%2f',
    '%2e%2e',
    '..',
    '.',
    '+',
  ],
  ...[
    "'",
    "';drop%20table%20events;--",
    '%22',
    '%5c',
    '{}',
    '[]',
    '$1',
    '%F0%9F%98%80',
    '%ED%A0%80',
  ],
  ...['0', '-1', '01', '1.5', '1e3', '9007199254740991', '9007199254740992', '9999999999999999'],
  ...['99999999999999999999', 'NaN', 'null', 'true', '__proto__', 'constructor', '*', ':id'],
  ...['k1', '1', '2', 'x'.repeat(3_000), '%20', '%0a', '%e2%80%a8', '1/0', '0/-1', '9/9'],
]

const junk = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...JUNK) },
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => encodeURIComponent(text)),
)
const mostly = (...values: string[]) =>
  fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...values) }, { weight: 2, arbitrary: junk })

const id = mostly('1', '2', '3', '8', '9', 'ext:e1', 'ext:e2', 'ext:', 'ext:%00')
const hash = mostly('k1', 'k2', 'k3')

const RATED = ['success_rate', '-success_rate', 'total_requests', '-name', 'id']
const KEYED = ['-used_tokens', 'last_accessed_at', 'quota_limit', 'name', 'token_hash']
const cursorValue = fc.oneof(
  fc.constantFrom('1e999', '1e-999', '9e400', '0.1e-300', '0.5', '00', '1e5', 'NaN', 'Infinity'),
  fc.constantFrom('0', '-1', '9223372036854775808', '9'.repeat(100), '', 'a\0', '\ud800', "'"),
  fc.string({ maxLength: 5 }),
)

/** A cursor that is well-formed except for its value and id. */
const cursorOf = (sorts: string[], ids: fc.Arbitrary<string>) =>
  fc
    .record({ sort: fc.constantFrom(...sorts), value: cursorValue, id: ids, alone: fc.nat(4) })
    .map(({ sort, value, id, alone }) => {
      const cursor = Buffer.from(JSON.stringify([sort, value, id])).toString('base64url')
      return alone === 0 ? `cursor=${cursor}` : `sort=${sort}&cursor=${cursor}`
    })
const anyId = fc.constantFrom('0', '1', '9007199254740991', '99999999999999999999', 'k1', 'a\0')
const ratedCursor = cursorOf(RATED, anyId)
const keyedCursor = cursorOf(KEYED, anyId)

const TIMES = [
  ...[
    '2026-01-31T12:00:00Z',
    '2026-02-30T12:00:00Z',
    '9999-99-99T99:99:99Z',
    '0000-00-00T00:00:00Z',
  ],
  ...[
    '2026-01-31T24:00:00Z',
    '2026-01-31T12:00:60Z',
    '2026-01-31T12:00:00%2B99:99',
    '0000-01-01T00:00:00Z',
  ],
  ...['2026-01-31T12:00:00.123456789-00:00', '2026-01-31t12:00:00z', '9999-12-31T23:59:59-23:59'],
  ...['0001-01-01T00:00:00%2B15:59', '2026-01-31T12:00:00%2B16:00', '2026-01-31%2012:00:00Z'],
]

const param = (name: string, value: fc.Arbitrary<string>) =>
  value.map((value) => `${name}=${value}`)

const paging = [
  param('limit', mostly('1', '2', '100', '1000', '1001', '0')),
  param('ended', mostly('true', 'false')),
  param('consistency', mostly('eventual', 'strong')),
  param('group_id', id),
  param('as_of', mostly(...TIMES)),
  ratedCursor,
  keyedCursor,
  param('cursor', junk),
  param('sort', mostly('id', '-name')),
  param('external_id', mostly('e1', 'e2', '')),
  param('search', mostly('k', '1', '%25', '_', '%5C', 'İ')),
]
const auditing = [
  param('shard', mostly('0', '3', 'all', '4')),
  param('after', mostly('-1', '0', '41', '0/1', '0/1,1/0', '1/1', '0/1,0/1', '999999999999999')),
  param('limit', mostly('1', '1000')),
  param('order', mostly('desc', 'asc')),
  param('before', mostly('-1', '0', '41', '0/1', '0/1,1/0', '1/1', '0/1,0/1', '999999999999999')),
  param('type', mostly('KeyStatsFlushed', 'CatalogChanged', 'toString')),
  param('source', mostly('dp', 'admin')),
  param('from', mostly(...TIMES)),
  param('to', mostly(...TIMES)),
]
const anything = [fc.tuple(junk, junk).map(([name, value]) => `${name}=${value}`), junk]

const queryOf = (params: fc.Arbitrary<string>[]) =>
  fc
    .array(
      fc.oneof(
        { weight: 8, arbitrary: fc.oneof(...params) },
        { weight: 1, arbitrary: fc.oneof(...anything) },
      ),
      { maxLength: 4 },
    )
    .map((parts) => (parts.length === 0 ? '' : `?${parts.join('&')}`))

const path = (...segments: (string | fc.Arbitrary<string>)[]) =>
  fc
    .tuple(
      ...segments.map((segment) => (typeof segment === 'string' ? fc.constant(segment) : segment)),
    )
    .map((parts) => `/${parts.join('/')}`)

const read = (path: fc.Arbitrary<string>, query: fc.Arbitrary<string>, ...more: string[]) =>
  fc.record({
    method: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom('GET', ...more) },
      fc.constantFrom('HEAD', 'POST', 'PUT', 'PATCH', 'OPTIONS', 'TRACE', 'DELETE'),
    ),
    path,
    query,
  })

/** A request to any route except flushes and PUT /admin/catalog, or to no route. */
export const fuzzedRequest: fc.Arbitrary<FuzzedRequest> = fc.oneof(
  read(path('admin', 'apikey-stats', 'summary'), queryOf(paging)),
  read(path('admin', mostly('provider-groups', 'api-keys', 'keys')), queryOf(paging)),
  read(
    path('admin', fc.constantFrom('provider-groups', 'api-keys')),
    ratedCursor.map((query) => `?${query}`),
  ),
  read(
    path('admin', 'keys'),
    keyedCursor.map((query) => `?${query}`),
  ),
  read(path('admin', 'provider-groups', id), queryOf(paging), 'DELETE'),
  read(path('admin', 'api-keys', id), queryOf(paging), 'DELETE'),
  read(path('admin', 'keys', hash), queryOf(paging), 'DELETE'),
  read(path('admin', 'projections'), queryOf(paging)),
  read(path('admin', 'status'), queryOf(paging)),
  read(path('session'), queryOf(paging)),
  read(path('audit', 'events'), queryOf(auditing)),
  read(path('audit', 'events'), queryOf(auditing)),
  read(path('audit', 'events', id, id), queryOf(auditing)),
  read(
    path(fc.constantFrom('health/live', 'health/ready', 'metrics', 'swagger', 'swagger/json', '')),
    queryOf(auditing),
  ),
  read(
    fc.array(junk, { maxLength: 3 }).map((parts) => `/${parts.join('/')}`),
    queryOf(paging),
  ),
)
