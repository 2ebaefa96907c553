import { gzipSync } from 'node:zlib'
import { API_KEYS, makeBody, TOKENS } from '../workload.ts'
import { toBytes } from './connection.ts'

/** Role of the client. The noisy gateway has a token of its own, like any other gateway. */
export type NoisyRole = 'anonymous' | 'dp' | 'auditor' | 'admin'

type Request = {
  role: NoisyRole
  /** GET by default. */
  method?: string
  /** `{position}` is a random event's, `{id}` a random API key's, `{n}` the request's number. */
  path: string
  headers?: Record<string, string>
  /** Body of the request with number `n`. */
  body?: (n: number) => string | Uint8Array
  /** False if nothing of the answer is read. */
  isRead?: boolean
  /** True if it starts work that continues after the answer. */
  lingers?: boolean
}

const MIB = 1024 * 1024
const FLUSH = { role: 'dp', method: 'POST', path: '/internal/apikey-stats/flush' } as const
const YEAR = 'from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z'
const NDJSON = { accept: 'application/x-ndjson' }
const SSE = { accept: 'text/event-stream' }
const ANY_ID = 'A'.repeat(43)
const SUMMARY = '/admin/apikey-stats/summary'

/** A flush of almost 16 MiB; without an `end` it is invalid at its last byte. */
const largest = (end: string) => {
  const entry = '{"api_key_id":1,"requests":10,"success_requests":9},'
  return `{"keys":[${entry.repeat(Math.floor((16 * MIB - 100) / entry.length)).slice(0, -1)}${end}`
}

/** The most expensive requests that were found, and the cheapest ones, by name. */
export const NOISES = {
  'no such path': { role: 'anonymous', path: '/nothing' },
  live: { role: 'anonymous', path: '/health/live' },
  ready: { role: 'anonymous', path: '/health/ready' },
  metrics: { role: 'anonymous', path: '/metrics' },
  'the description of the API': { role: 'anonymous', path: '/swagger/json' },
  'a page of the console': { role: 'anonymous', path: '/' },
  'an unknown token': { role: 'anonymous', path: SUMMARY, headers: bearer('unknown') },
  'a session that is none': {
    role: 'anonymous',
    path: '/session',
    headers: { cookie: `tallybook_session=${ANY_ID}` },
  },
  'a page in a session that is none': {
    role: 'anonymous',
    path: SUMMARY,
    headers: { cookie: `tallybook_session=${ANY_ID}` },
  },
  'a sign-in with an unknown token': {
    ...{ role: 'anonymous', method: 'POST', path: '/session' },
    body: () => JSON.stringify({ token: 'x'.repeat(3_000) }),
  },
  '1 MiB without a token': { ...FLUSH, role: 'anonymous', body: () => 'x'.repeat(MIB) },

  'flushes of 1 key': { ...FLUSH, body: () => makeBody(1) },
  'flushes of 1,000 keys': { ...FLUSH, body: () => makeBody(1_000) },
  'flushes of 16 MiB': { ...FLUSH, body: () => largest(']}') },
  'invalid flushes of 16 MiB': { ...FLUSH, body: () => largest('') },
  'gzip of 16 MiB': {
    ...{ ...FLUSH, headers: { 'content-encoding': 'gzip' } },
    body: () => gzipSync(largest(']}')),
  },
  'one flush again and again': {
    ...{ ...FLUSH, headers: { 'idempotency-key': 'noisy' } },
    body: () => ONE_FLUSH,
  },
  receipts: {
    ...{ role: 'dp', method: 'POST', path: '/internal/receipts' },
    body: (n) => JSON.stringify({ position: `0/${n * 100}` }),
  },
  'what a gateway may not': { role: 'dp', path: SUMMARY },

  summary: { role: 'auditor', path: SUMMARY },
  'summary as of': { role: 'auditor', path: `${SUMMARY}?as_of_position=0/{position}` },
  '1,000 API keys': { role: 'auditor', path: '/admin/api-keys?limit=1000&sort=-total_requests' },
  '1,000 API keys as of': {
    role: 'auditor',
    path: '/admin/api-keys?limit=1000&sort=-total_requests&as_of_position=0/{position}',
  },
  'a search that finds nothing': { role: 'auditor', path: '/admin/api-keys?search=zzz{n}' },
  'one API key as of': {
    role: 'auditor',
    path: '/admin/api-keys/{id}?as_of_position=0/{position}',
  },
  'a year by the hour': { role: 'auditor', path: `/admin/usage?${YEAR}` },
  'a year by the hour, CSV': { role: 'auditor', path: `/admin/usage?format=csv&${YEAR}` },
  'a year by the hour as of': {
    role: 'auditor',
    path: `/admin/usage?${YEAR}&as_of_position=0/{position}`,
  },
  'explain all, 1,000': { role: 'auditor', path: '/audit/explain?limit=1000&after=0/{position}' },
  'explain a key, 1,000': {
    role: 'auditor',
    path: '/audit/explain?api_key_id={id}&limit=1000',
  },
  '1,000 events': { role: 'auditor', path: '/audit/events?limit=1000&after={position}' },
  'events of nobody': { role: 'auditor', path: '/audit/events?source=nobody{n}&limit=1000' },
  'the newest events of nobody': {
    role: 'auditor',
    path: '/audit/events?source=nobody{n}&limit=1000&order=desc',
  },
  'the whole log': { role: 'auditor', path: '/audit/events?after=-1', headers: NDJSON },
  'the whole log, unread': {
    ...{ role: 'auditor', path: '/audit/events?after=-1', headers: NDJSON, isRead: false },
  },
  'following from the first event': {
    ...{ role: 'auditor', path: '/audit/events?after=-1', headers: SSE },
  },
  'following, unread': {
    ...{ role: 'auditor', path: '/audit/events?after=-1', headers: SSE, isRead: false },
  },
  'following at the head': { role: 'auditor', path: '/audit/events', headers: SSE },
  'following whether it grows': { role: 'auditor', path: '/admin/live' },
  'inclusion proofs': { role: 'auditor', path: '/audit/proof/inclusion?position={position}' },
  'consistency proofs': { role: 'auditor', path: '/audit/proof/consistency?from={position}' },
  'proof files': { role: 'auditor', path: '/audit/events/0/{position}/tlog-proof' },
  'tiles of entries': {
    ...{ role: 'auditor', path: '/audit/log/0/tile/entries/0{tile}' },
    headers: { 'accept-encoding': 'gzip' },
  },
  status: { role: 'auditor', path: '/admin/status' },
  projections: { role: 'auditor', path: '/admin/projections' },

  'a change of the catalog': {
    ...{ role: 'admin', method: 'PUT', path: '/admin/catalog' },
    body: (n) => JSON.stringify({ api_keys: [{ id: 1 + n, group_id: 1, name: `n${n}` }] }),
  },
  'a catalog of 10,000 keys': {
    ...{ role: 'admin', method: 'PUT', path: '/admin/catalog' },
    body: (n) =>
      JSON.stringify({
        api_keys: Array.from({ length: API_KEYS }, (_, i) => ({
          ...{ id: i + 1, group_id: 1 + (i % 10), name: `n${n % 2}` },
        })),
      }),
  },
  'tokens that are made': {
    ...{ role: 'admin', method: 'POST', path: '/admin/tokens' },
    body: () => JSON.stringify({ name: `noise-${crypto.randomUUID()}`, role: 'auditor' }),
  },
  'sign-ins': {
    ...{ role: 'admin', method: 'POST', path: '/session' },
    body: () => JSON.stringify({ token: TOKENS.admin }),
  },
  attestations: { role: 'admin', method: 'POST', path: '/admin/attestations' },
  verifications: {
    ...{ role: 'admin', method: 'POST', path: '/admin/verifications', lingers: true },
  },
  rebuilds: {
    ...{ role: 'admin', method: 'POST', lingers: true },
    path: '/admin/projections/api_key_counters/rebuild',
  },
} as const satisfies Record<string, Request>

export type NoiseName = keyof typeof NOISES

/** Body of a flush that is repeated. */
const ONE_FLUSH = makeBody(1)

/** Different requests that are sent in turn; only one if it is large. */
const IN_TURNS = 64
const LARGE_BYTES = MIB / 4

/** A lower bound of the log's events, and the token of the noisy gateway. */
export type RequestsOptions = { events: number; dpToken: string }

/** Makes the encoded requests of a name; `isRead` states if their answers are read. */
export function makeRequests(name: NoiseName, { events, dpToken }: RequestsOptions) {
  const { role, method = 'GET', path, headers = {}, body, isRead = true }: Request = NOISES[name]
  const requests: Uint8Array[] = []
  for (let n = 0; n < IN_TURNS; n++) {
    const own = path
      .replace('{position}', String(Math.floor(Math.random() * events)))
      .replace('{id}', String(1 + Math.floor(Math.random() * API_KEYS)))
      .replace(
        '{tile}',
        String(Math.floor(Math.random() * Math.min(99, events / 256))).padStart(2, '0'),
      )
      .replace('{n}', String(n))
    const allHeaders = { ...authorizationOf(role, dpToken), ...headers }
    requests.push(
      toBytes(method, own, allHeaders, body?.(n) ?? (method === 'GET' ? undefined : '')),
    )
    if (requests[0]!.byteLength > LARGE_BYTES) break
  }
  return { requests, isRead }
}

function authorizationOf(role: NoisyRole, dpToken: string): Record<string, string> {
  if (role === 'anonymous') return {}
  return bearer(role === 'dp' ? dpToken : TOKENS[role])
}

function bearer(token: string) {
  return { authorization: `Bearer ${token}` }
}
