import { beforeAll, expect, test } from 'bun:test'
import { readProblem } from '../support/problem.ts'
import { type TOKENS, useService } from '../support/service.ts'

// The texts of every problem that a client can cause. Other tests assert status and `error`, which
// are the contract; only this one asserts the sentences.

type Call = [
  role: keyof typeof TOKENS | null,
  method: string,
  path: string,
  body?: string | undefined,
  headers?: Record<string, string>,
]

const FLUSH = '/internal/apikey-stats/flush'
const KEY_FLUSH = '/internal/stats/flush'
const SUMMARY = '/admin/apikey-stats/summary'
const LIMIT = 4_096
/** A body above the limit; the snapshot shows it as `<large>`. */
const LARGE = 'x'.repeat(LIMIT + 1)

const flush = (fields: string) => `{"keys":[{"api_key_id":1,${fields}}]}`
const key = (value: string) => ({ 'idempotency-key': value })

const BALANCES = '/admin/balances'
const CORRECTIONS = '/admin/corrections'
const UNKNOWN = '/admin/unknown-keys'
const ADOPT = `${UNKNOWN}/adopt`
const rated = (id: number, requests = 2, successes = 1) =>
  `{"id":${id},"total_requests":${requests},"success_requests":${successes}}`
const opening = (rows: string, day = '2026-01-31') =>
  `{"as_of":"${day}T12:00:00Z","origin":{"system":"s"}${rows && `,${rows}`}}`

const GROUPS: Record<string, Call[]> = {
  flushes: [
    ['dp', 'POST', FLUSH, '{'],
    ['dp', 'POST', FLUSH, '[]'],
    ['dp', 'POST', FLUSH, '{"key":[]}'],
    ['dp', 'POST', FLUSH, flush('"requests":1.5')],
    ['dp', 'POST', FLUSH, flush('"requests":-1')],
    ['dp', 'POST', FLUSH, flush('"requests":1,"success_requests":2')],
    ['dp', 'POST', FLUSH, '{"keys":[]}', key('two words')],
    ['dp', 'POST', FLUSH, flush('"requests":2'), key('used')],
    ['dp', 'POST', FLUSH, LARGE],
    ['dp', 'POST', FLUSH, '{}', { 'content-encoding': 'br' }],
    ['dp', 'POST', FLUSH, '{}', { 'content-encoding': 'gzip' }],
    ['dp', 'POST', KEY_FLUSH, '"keys"'],
    ['dp', 'POST', KEY_FLUSH, '{"keys":[{"token_hash":"a","tokens":-1}]}'],
    ['dp', 'POST', KEY_FLUSH, '{"keys":[{"token_hash":"a\\u0000b"}]}'],
  ],
  'the catalog': [
    ['admin', 'PUT', '/admin/catalog', '{'],
    ['admin', 'PUT', '/admin/catalog', '[]'],
    ['admin', 'PUT', '/admin/catalog', '{"nothing":[]}'],
    ['admin', 'PUT', '/admin/catalog', '{"api_keys":{}}'],
    ['admin', 'PUT', '/admin/catalog', '{"api_keys":[7]}'],
    ['admin', 'PUT', '/admin/catalog', '{"api_keys":[{}]}'],
    ['admin', 'PUT', '/admin/catalog', '{"api_keys":[{"id":1},{"id":1}]}'],
    ['admin', 'PUT', '/admin/catalog', '{"keys":[{"token_hash":""}]}'],
    ['admin', 'PUT', '/admin/catalog', '{"keys":[{"token_hash":"a","quota_limit":-2}]}'],
    ['admin', 'PUT', '/admin/catalog', '{"keys":[{"token_hash":"a","quota_period":"year"}]}'],
    ['admin', 'PUT', '/admin/catalog', LARGE],
    ['admin', 'DELETE', '/admin/api-keys/99'],
    ['admin', 'DELETE', '/admin/api-keys/x'],
    ['admin', 'DELETE', '/admin/keys/none'],
  ],
  bookkeeping: [
    ['admin', 'POST', BALANCES, opening('')],
    ['admin', 'POST', BALANCES, '{', key('a')],
    ['admin', 'POST', BALANCES, opening(''), key('a')],
    ['admin', 'POST', BALANCES, opening('"api_keys":[{"id":1}]'), key('a')],
    ['admin', 'POST', BALANCES, opening(`"api_keys":[${rated(1, 2, 3)}]`), key('a')],
    ['admin', 'POST', BALANCES, opening(`"api_keys":[${rated(1)},${rated(1)}]`), key('a')],
    ['admin', 'POST', BALANCES, opening(`"api_keys":[${rated(99)}]`), key('a')],
    ['admin', 'POST', BALANCES, opening(`"api_keys":[${rated(1)}]`, '9999-01-01'), key('a')],
    ['admin', 'POST', BALANCES, opening(`"api_keys":[${rated(1)}]`, '2026-02-30'), key('a')],
    ['admin', 'POST', BALANCES, opening(`"api_keys":[${rated(1)}]`, 'today'), key('a')],
    ['admin', 'POST', CORRECTIONS, '{"reason":"r"}'],
    ['admin', 'POST', CORRECTIONS, '{"reverse":"0/1"}'],
    ['admin', 'POST', CORRECTIONS, '{"reverse":"0/1","reason":""}'],
    ['admin', 'POST', CORRECTIONS, '{"reverse":"41","reason":"r"}'],
    ['admin', 'POST', CORRECTIONS, '{"reverse":"0/1","adjust":{},"reason":"r"}'],
    ['admin', 'POST', CORRECTIONS, '{"adjust":{},"reason":"r"}'],
    ['admin', 'POST', CORRECTIONS, `{"adjust":{"api_keys":[${rated(99)}]},"reason":"r"}`],
    ['admin', 'POST', CORRECTIONS, `{"adjust":{"api_keys":[${rated(1, -1_000, 0)}]},"reason":"r"}`],
    ['admin', 'POST', CORRECTIONS, '{"reverse":"0/999","reason":"r"}'],
    ['admin', 'POST', CORRECTIONS, '{"reverse":"9/1","reason":"r"}'],
    ['admin', 'POST', CORRECTIONS, '{"reverse":"0/0","reason":"r"}'],
    ['admin', 'GET', `${CORRECTIONS}?cursor=x`],
  ],
  'unknown keys': [
    ['admin', 'GET', UNKNOWN],
    ['admin', 'GET', `${UNKNOWN}?kind=keys`],
    ['admin', 'GET', `${UNKNOWN}?kind=key&sort=id`],
    ['admin', 'GET', `${UNKNOWN}?kind=key&cursor=x`],
    ['admin', 'GET', `${UNKNOWN}?kind=key&as_of_position=0/0`],
    ['admin', 'POST', ADOPT, '{'],
    ['admin', 'POST', ADOPT, '{}'],
    ['admin', 'POST', ADOPT, '{"keys":[]}'],
    ['admin', 'POST', ADOPT, '{"keys":[{}]}'],
    ['admin', 'POST', ADOPT, '{"keys":[{"token_hash":"a"},{"token_hash":"a"}]}'],
    ['admin', 'POST', ADOPT, '{"provider_groups":[{"id":1}],"api_keys":[{"id":1}]}'],
    ['admin', 'POST', ADOPT, '{"api_keys":[{"id":1,"external_id":" x"}]}'],
    ['admin', 'POST', ADOPT, LARGE],
  ],
  reads: [
    ['admin', 'GET', '/admin/api-keys/99'],
    ['admin', 'GET', '/admin/api-keys/x'],
    ['admin', 'GET', '/admin/api-keys?nothing=1'],
    ['admin', 'GET', '/admin/api-keys?limit=0'],
    ['admin', 'GET', '/admin/api-keys?sort=nothing'],
    ['admin', 'GET', '/admin/api-keys?cursor=x'],
    ['admin', 'GET', '/admin/api-keys?search='],
    ['admin', 'GET', '/admin/keys?consistency=strong'],
    ['admin', 'GET', `${SUMMARY}?as_of=yesterday`],
    ['admin', 'GET', `${SUMMARY}?as_of=9999-12-31T23:59:59Z`],
    ['admin', 'GET', `${SUMMARY}?as_of_position=41`],
    ['admin', 'GET', `${SUMMARY}?as_of_position=0/999999999`],
    ['admin', 'GET', `${SUMMARY}?as_of=2026-01-01T00:00:00Z&as_of_position=0/0`],
    ['admin', 'GET', `${SUMMARY}?as_of_position=0/0&consistency=eventual`],
    ['admin', 'GET', `${SUMMARY}?attested=true`],
    ['admin', 'GET', `${SUMMARY}?attested=true&as_of_position=0/0`],
  ],
  usage: [
    ['admin', 'GET', '/admin/usage?group_id=1&api_key_id=1'],
    ['admin', 'GET', '/admin/usage?tz=Nowhere/Else'],
    ['admin', 'GET', '/admin/usage?bucket=week'],
    ['admin', 'GET', '/admin/usage?from=2026-01-01T00:05:00Z'],
    ['admin', 'GET', '/admin/usage?from=2026-02-30T00:00:00Z'],
    ['admin', 'GET', '/admin/usage?from=1999-06-02T10:00:00Z'],
    ['admin', 'GET', '/admin/usage?from=2001-06-02T10:00:00Z'],
    ['admin', 'GET', '/admin/usage?from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z'],
    ['admin', 'GET', '/admin/usage?as_of_position=0/99999999'],
  ],
  explanations: [
    ['auditor', 'GET', '/audit/explain?api_key_id=1&group_id=7'],
    ['auditor', 'GET', '/audit/explain?after=7'],
    ['auditor', 'GET', '/audit/explain?after=9999/0'],
    ['auditor', 'GET', '/audit/explain?limit=0'],
  ],
  operations: [
    ['admin', 'POST', '/admin/projections/none/rebuild'],
    ['auditor', 'GET', '/admin/status?shard=0'],
    ['auditor', 'GET', '/admin/verifications?limit=0'],
  ],
  'the log': [
    ['auditor', 'GET', '/audit/events?shard=9999'],
    ['auditor', 'GET', '/audit/events?shard=some'],
    ['auditor', 'GET', '/audit/events?type=Nothing'],
    ['auditor', 'GET', '/audit/events?limit=1001'],
    ['auditor', 'GET', '/audit/events?after=x'],
    ['auditor', 'GET', '/audit/events?shard=all&after=5'],
    ['auditor', 'GET', '/audit/events?from=2026-02-30T00:00:00Z'],
    ['auditor', 'GET', '/audit/events?source=%00'],
    ['auditor', 'GET', '/audit/events?order=desc&after=1'],
    ['auditor', 'GET', '/audit/events?before=1'],
    ['auditor', 'GET', '/audit/events?order=desc', undefined, { accept: 'text/event-stream' }],
    ['auditor', 'GET', '/audit/events/0/999999'],
    ['auditor', 'GET', '/audit/events/9999/0'],
    ['auditor', 'GET', '/audit/events/0/x'],
  ],
  'the transparency log': [
    ['auditor', 'GET', '/audit/log/9999/checkpoint'],
    ['auditor', 'GET', '/audit/log/x/checkpoint'],
    ['auditor', 'GET', '/audit/log/0/tile/0/0'],
    ['auditor', 'GET', '/audit/log/0/tile/0/999'],
    ['auditor', 'GET', '/audit/proof/inclusion'],
    ['auditor', 'GET', '/audit/proof/inclusion?position=1&tree_size=1'],
    ['auditor', 'GET', '/audit/proof/inclusion?position=0&tree_size=900000'],
    ['auditor', 'GET', '/audit/proof/consistency?from=3&to=2'],
    ['auditor', 'GET', '/audit/proof/consistency?from=1&to=900000'],
    ['auditor', 'GET', '/audit/events/0/999999/tlog-proof'],
    ['dp', 'POST', '/internal/receipts', '{"position":"0/999999"}'],
    ['dp', 'POST', '/internal/receipts', '{"position":"0"}'],
    ['dp', 'POST', '/internal/receipts', LARGE],
  ],
  tokens: [
    ['admin', 'POST', '/admin/tokens', '{'],
    ['admin', 'POST', '/admin/tokens', '[]'],
    ['admin', 'POST', '/admin/tokens', '{"name":"x"}'],
    ['admin', 'POST', '/admin/tokens', '{"name":"x","role":"root"}'],
    ['admin', 'POST', '/admin/tokens', '{"name":"Upper","role":"dp"}'],
    ['admin', 'POST', '/admin/tokens', '{"name":"dp","role":"dp"}'],
    ['admin', 'DELETE', '/admin/tokens/none'],
  ],
  sessions: [
    [null, 'POST', '/session', '{'],
    [null, 'POST', '/session', '{}'],
    [null, 'POST', '/session', '{"token":"","role":"admin"}'],
    [null, 'POST', '/session', '{"token":"unknown"}'],
    [null, 'POST', '/session', '{"token":"dp-token-1"}'],
    [null, 'POST', '/session', LARGE],
    [null, 'PUT', '/admin/catalog', '{}', { cookie: 'tallybook_session=x' }],
    [
      null,
      'PUT',
      '/admin/catalog',
      '{}',
      { cookie: 'tallybook_session=x', origin: 'https://evil.example' },
    ],
  ],
  'every route': [
    [null, 'GET', SUMMARY],
    [null, 'GET', SUMMARY, undefined, { authorization: 'Bearer unknown' }],
    ['dp', 'GET', SUMMARY],
    ['auditor', 'PUT', '/admin/catalog', '{}'],
    ['admin', 'GET', '/nothing'],
    ['admin', 'PATCH', SUMMARY],
  ],
}

const service = useService({ bodyLimitBytes: LIMIT })
beforeAll(async () => {
  await service.putCatalog({ api_keys: [{ id: 1 }] })
  await service.post(FLUSH, flush('"requests":1'), key('used'))
})

/** Returns the name of a call in the snapshot. */
const nameOf = ([role, method, path, body = '', headers = {}]: Call) =>
  [
    ...[role ?? 'anonymous', method, path, body === LARGE ? '<large>' : body],
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ]
    .filter(Boolean)
    .join(' ')

for (const [group, calls] of Object.entries(GROUPS)) {
  test(`the problems of ${group} have the recorded texts`, async () => {
    const problems: Record<string, string> = {}
    for (const call of calls) {
      const [role, method, path, body, headers = {}] = call
      const init = { method, headers, ...(body === undefined ? {} : { body }) }
      const { status, error, detail } = await readProblem(await service.fetch(role, path, init))
      problems[nameOf(call)] = `${status} ${error}: ${detail ?? ''}`
    }
    expect(problems).toMatchSnapshot()
  })
}
