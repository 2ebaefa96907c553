import { Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { ApiKeyEntries } from '../../events/api-key-flush.ts'
import { LAST_UNIX_SECOND } from '../../events/columns.ts'
import type { PostedFlush } from '../../events/flush.ts'
import type { KeyEntries } from '../../events/key-flush.ts'
import { explainRefusal, isForeign, type Refusal } from './refusal.ts'

const MAX = Number.MAX_SAFE_INTEGER

/** Absent and null are zero. */
const optional = (options: { minimum: number; description: string; openapi?: object }) =>
  Type.Optional(Type.Union([Type.Integer({ ...options, maximum: MAX }), Type.Null()]))

// Counts may be negative as far as the shape goes: that is the other error.
const count = (description: string) =>
  optional({ minimum: -MAX, description, openapi: { minimum: 0 } })

const ApiKeyEntry = Type.Object({
  api_key_id: optional({ minimum: 0, description: 'An entry with 0 is skipped' }),
  requests: count('Requests since the last flush'),
  success_requests: count('Those that succeeded; at most `requests`'),
})

const KeyEntry = Type.Object({
  token_hash: Type.Optional(
    Type.Union([
      Type.String({
        description: 'White space around it is cut; an entry that is blank is skipped',
      }),
      Type.Null(),
    ]),
  ),
  requests: count('Requests since the last flush'),
  tokens: count('Tokens used since the last flush'),
  last_accessed_at: count('Unix seconds; only moves forward'),
})

const flushOf = <Entry extends typeof ApiKeyEntry | typeof KeyEntry>(entry: Entry, title: string) =>
  Type.Union(
    [
      Type.Object({
        keys: Type.Optional(
          Type.Union([Type.Array(Type.Union([entry, Type.Null()])), Type.Null()]),
        ),
      }),
      Type.Null(),
    ],
    { title },
  )

export const ApiKeyFlushBody = flushOf(ApiKeyEntry, 'ApiKeyFlush')
export const KeyFlushBody = flushOf(KeyEntry, 'KeyFlush')

const apiKeyBody = TypeCompiler.Compile(ApiKeyFlushBody)
const keyBody = TypeCompiler.Compile(KeyFlushBody)

const API_KEY_FIELDS = Object.keys(ApiKeyEntry.properties)
const KEY_FIELDS = Object.keys(KeyEntry.properties)

/** Reads the body of a flush of either kind, or says what is wrong with it. */
export function parseFlush(type: PostedFlush['type'], text: string): PostedFlush | Refusal {
  const entries = type === 'ApiKeyStatsFlushed' ? parseApiKeyFlush(text) : parseKeyFlush(text)
  return 'error' in entries ? entries : ({ type, entries } as PostedFlush)
}

/** Reads the body of an API key flush: its entries in columns, or what is wrong with it. */
export function parseApiKeyFlush(text: string): ApiKeyEntries | Refusal {
  const body = parseJson(text)
  return readApiKeyEntries(body) ?? explainRefusal(body, API_KEY_FIELDS)
}

/** Reads the body of a token key flush: its entries in columns, or what is wrong with it. */
export function parseKeyFlush(text: string): KeyEntries | Refusal {
  const body = parseJson(text)
  return readKeyEntries(body) ?? explainRefusal(body, KEY_FIELDS)
}

/** null where something is wrong. */
function readApiKeyEntries(body: unknown): ApiKeyEntries | null {
  if (body === undefined || !apiKeyBody.Check(body)) return null
  if (body !== null && isForeign(body, ['keys'])) return null
  const entries: ApiKeyEntries = { ids: [], requests: [], successes: [] }
  for (const entry of body?.keys ?? []) {
    const id = entry?.api_key_id ?? 0
    if (id === 0) {
      if (entry && isForeign(entry, API_KEY_FIELDS)) return null
      continue
    }
    const requests = entry!.requests ?? 0
    const successes = entry!.success_requests ?? 0
    if (requests < 0 || successes < 0 || successes > requests) return null
    entries.ids.push(id)
    entries.requests.push(requests)
    entries.successes.push(successes)
  }
  return entries
}

/** null where something is wrong. */
function readKeyEntries(body: unknown): KeyEntries | null {
  if (body === undefined || !keyBody.Check(body)) return null
  if (body !== null && isForeign(body, ['keys'])) return null
  const entries: KeyEntries = { hashes: [], requests: [], tokens: [], last_accessed_at: [] }
  for (const entry of body?.keys ?? []) {
    const hash = entry?.token_hash?.trim() ?? ''
    if (hash === '') {
      if (entry && isForeign(entry, KEY_FIELDS)) return null
      continue
    }
    const requests = entry!.requests ?? 0
    const tokens = entry!.tokens ?? 0
    const lastAccessedAt = entry!.last_accessed_at ?? 0
    if (hash.includes('\0') || requests < 0 || tokens < 0) return null
    if (lastAccessedAt < 0 || lastAccessedAt > LAST_UNIX_SECOND) return null
    // A lone surrogate can't be written in UTF-8; no key is called that.
    entries.hashes.push(hash.toWellFormed())
    entries.requests.push(requests)
    entries.tokens.push(tokens)
    entries.last_accessed_at.push(lastAccessedAt)
  }
  return entries
}

/** undefined where it isn't JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
