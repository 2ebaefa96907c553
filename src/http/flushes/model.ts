import { type TObject, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { PostedApiKeyEntries } from '../../events/api-key-flush.ts'
import { LAST_UNIX_SECOND } from '../../events/columns.ts'
import type { KeyHints, PostedFlush } from '../../events/flush.ts'
import type { PostedKeyEntries } from '../../events/key-flush.ts'
import { type Detailed, DetailsReader, hasDetails } from './details.ts'
import { addHint } from './hints.ts'
import { PlainEntriesReader } from './plain-entries.ts'
import { explainRefusal, isForeign, type Refusal } from './refusal.ts'

const MAX = Number.MAX_SAFE_INTEGER

/** An optional integer; absent and null mean zero. */
const optional = (options: { minimum: number; description: string; openapi?: object }) =>
  Type.Optional(Type.Union([Type.Integer({ ...options, maximum: MAX }), Type.Null()]))

// The schema accepts negative counts, because they are a different error than a wrong shape.
const count = (description: string) =>
  optional({ minimum: -MAX, description, openapi: { minimum: 0 } })

const name = (description: string) =>
  Type.Optional(Type.Union([Type.String({ description }), Type.Null()]))

const COUNTED_AT = {
  description:
    'When it was counted, in Unix seconds, if that was not just now: at most 5 minutes ahead and ' +
    '35 days ago (`TALLYBOOK_COUNTED_AT_DAYS`)',
  openapi: { minimum: 0 },
}

const ApiKeyEntry = Type.Object({
  api_key_id: optional({ minimum: 0, description: 'An entry with 0 and no `api_key` is skipped' }),
  api_key: name(
    'The `external_id` of the API key, instead of its id. Is trimmed; a blank one is none. If ' +
      'both are sent, they must name the same key',
  ),
  requests: count('Requests since the last flush'),
  success_requests: count('Successful requests; at most `requests`'),
})

const KeyEntry = Type.Object({
  token_hash: name('Is trimmed; an entry with a blank hash is skipped'),
  requests: count('Requests since the last flush'),
  tokens: count('Tokens used since the last flush'),
  last_accessed_at: count('In Unix seconds; an earlier time than the stored one is ignored'),
})

const flushOf = <Entry extends TObject>(entry: Entry, title: string) =>
  Type.Union(
    [
      Type.Object({
        keys: Type.Optional(
          Type.Union([Type.Array(Type.Union([entry, Type.Null()])), Type.Null()]),
        ),
        counted_at: Type.Optional(
          Type.Union([Type.Integer({ minimum: -MAX, maximum: MAX, ...COUNTED_AT }), Type.Null()]),
        ),
      }),
      Type.Null(),
    ],
    { title },
  )

const apiKeyBody = TypeCompiler.Compile(flushOf(ApiKeyEntry, 'ApiKeyFlush'))
const keyBody = TypeCompiler.Compile(flushOf(KeyEntry, 'KeyFlush'))

const IF_REGISTERED =
  'Used if the key is unknown and TALLYBOOK_UNKNOWN_KEYS is `register`; otherwise, and if it is ' +
  'invalid, ignored'

/** The fields that describe an unknown key. They are not checked, see hints.ts. */
const described = {
  group: name(`The \`external_id\` of the provider group. ${IF_REGISTERED}`),
  group_id: Type.Optional(
    Type.Union([
      Type.Integer({
        minimum: 0,
        maximum: MAX,
        description: `Instead of \`group\`. ${IF_REGISTERED}`,
      }),
      Type.Null(),
    ]),
  ),
  name: name(`A display name. ${IF_REGISTERED}`),
}

/** Dimensions and measures. They are checked in details.ts. */
const details = {
  dimensions: Type.Optional(
    Type.Union(
      [Type.Record(Type.String(), Type.String({ minLength: 1, maxLength: 64 })), Type.Null()],
      { description: 'A value of each dimension that the catalog declares; `other` is reserved' },
    ),
  ),
  measures: Type.Optional(
    Type.Union(
      [Type.Record(Type.String(), Type.Integer({ minimum: 0, maximum: MAX })), Type.Null()],
      {
        description: 'Amounts since the last flush, of measures that the catalog declares',
      },
    ),
  ),
}

/** The body of a flush of API keys, for the description of the API. */
export const ApiKeyFlushBody = flushOf(
  Type.Object({ ...ApiKeyEntry.properties, ...details, ...described }),
  'ApiKeyFlush',
)
/** The body of a flush of token keys, for the description of the API. */
export const KeyFlushBody = flushOf(
  Type.Object({ ...KeyEntry.properties, ...details, name: described.name }),
  'KeyFlush',
)

const API_KEY_FIELDS = Object.keys(ApiKeyEntry.properties)
const KEY_FIELDS = Object.keys(KeyEntry.properties)

const plainEntries = new PlainEntriesReader()

/**
 * Parses the body of a flush of either kind, or returns what is wrong with it. Reads how the
 * entries describe their keys only if `withHints`. `sequence` is what its header says.
 */
export function parseFlush(
  type: PostedFlush['type'],
  text: string,
  withHints: boolean,
  sequence: string | null = null,
): PostedFlush | Refusal {
  const isOfApiKeys = type === 'ApiKeyStatsFlushed'
  const plain = isOfApiKeys ? plainEntries.read(text) : null
  // Such entries have no hints.
  if (plain !== null)
    return { type, entries: plain, ...(sequence !== null && { sequence }) } as PostedFlush
  const hints = withHints ? { byEntry: new Map(), bytes: 0 } : null
  const body = parseJson(text)
  const entries = isOfApiKeys ? readApiKeyEntries(body, hints) : readKeyEntries(body, hints)
  if (entries === null) return explainRefusal(body, isOfApiKeys ? API_KEY_FIELDS : KEY_FIELDS)
  const countedAt = (body as { counted_at?: number } | null)?.counted_at ?? null
  return {
    ...{ type, entries },
    ...(hints?.bytes && { hints }),
    ...(countedAt !== null && { countedAt }),
    ...(sequence !== null && { sequence }),
  } as PostedFlush
}

/** Returns null if anything is wrong. */
function readApiKeyEntries(body: unknown, hints: KeyHints | null): PostedApiKeyEntries | null {
  if (body === undefined || !apiKeyBody.Check(body)) return null
  if (body !== null && isForeign(body, ['keys'])) return null
  const entries: PostedApiKeyEntries = { ids: [], requests: [], successes: [] }
  const posted = body?.keys ?? []
  let details: DetailsReader | null = null
  for (let place = 0; place < posted.length; place++) {
    const entry = posted[place]
    const id = entry?.api_key_id ?? 0
    const name = entry?.api_key?.trim() ?? ''
    if (id === 0 && name === '') {
      if (entry && isForeign(entry, API_KEY_FIELDS)) return null
      continue
    }
    const requests = entry!.requests ?? 0
    const successes = entry!.success_requests ?? 0
    if (name.includes('\0') || requests < 0 || successes < 0 || successes > requests) return null
    entries.ids.push(id)
    entries.requests.push(requests)
    entries.successes.push(successes)
    if (name !== '') nameLast(entries, name.toWellFormed(), place)
    else entries.names?.push(null)
    const last = entries.ids.length - 1
    if (hasDetails(entry as Detailed)) {
      details ??= new DetailsReader(posted.length)
      if (!details.add(entry as Detailed, last, place)) return null
    }
    if (hints !== null) addHint(hints, last, entry!)
  }
  if (details !== null) entries.details = details.read(entries.ids.length)
  return entries
}

/** Adds the name of the last entry. Most flushes have no names, and so no column of them. */
function nameLast(entries: PostedApiKeyEntries, name: string, place: number): void {
  const last = entries.ids.length - 1
  entries.names ??= new Array<null>(last).fill(null)
  entries.places ??= []
  entries.names[last] = name
  entries.places[last] = place
}

/** Returns null if anything is wrong. */
function readKeyEntries(body: unknown, hints: KeyHints | null): PostedKeyEntries | null {
  if (body === undefined || !keyBody.Check(body)) return null
  if (body !== null && isForeign(body, ['keys'])) return null
  const entries: PostedKeyEntries = { hashes: [], requests: [], tokens: [], last_accessed_at: [] }
  const posted = body?.keys ?? []
  let details: DetailsReader | null = null
  for (let place = 0; place < posted.length; place++) {
    const entry = posted[place]
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
    // UTF-8 can't encode a lone surrogate, and no known key contains one.
    entries.hashes.push(hash.toWellFormed())
    entries.requests.push(requests)
    entries.tokens.push(tokens)
    entries.last_accessed_at.push(lastAccessedAt)
    const last = entries.hashes.length - 1
    if (hasDetails(entry as Detailed)) {
      details ??= new DetailsReader(posted.length)
      if (!details.add(entry as Detailed, last, place)) return null
    }
    if (hints !== null) addHint(hints, last, entry!)
  }
  if (details !== null) entries.details = details.read(entries.hashes.length)
  return entries
}

/** Returns undefined if the text is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
