import { parsePositions } from '../../events/positions.ts'
import { type Get, type Limits, readBody } from './http-body.ts'
import {
  type DividedRequest,
  NotServed,
  type ServedPage,
  type ServedUsage,
  SourceError,
  type UsageRequest,
} from './sources/source.ts'

/** Maximum bytes of a page, and of all pages of a list: about five million rows. */
const MAX_BYTES = 64 * 1024 * 1024
const MAX_LIST_BYTES = 1024 * 1024 * 1024
const MAX_SHARDS = 1_025

/** Reads GET /admin/apikey-stats/summary as one row. */
export async function readSummary(get: Get, limits: Limits): Promise<ServedPage> {
  const { body, positions } = await readPage(get, limits, '/admin/apikey-stats/summary')
  return { rows: [body], positions }
}

/** How often a page of usage is requested, and the delay (ms) in between. An audit needs many. */
const TRIES = 3
const RETRY_MS = 1_000

const NAMES = { provider_groups: 'group_id', api_keys: 'api_key_id', keys: 'token_hash' }

/** Reads GET /admin/usage. Retries a request that the service refuses. */
export async function readUsage(
  get: Get,
  limits: Limits,
  { kind, key, bucket, from, to }: UsageRequest,
  isEventual: boolean,
): Promise<ServedUsage> {
  const query = new URLSearchParams({ bucket, tz: 'UTC', from: toText(from), to: toText(to) })
  if (kind !== 'all') query.set(NAMES[kind], String(key))
  if (isEventual) query.set('consistency', 'eventual')
  return tryToRead(get, limits, `/admin/usage?${query}`)
}

/** Reads usage by dimension: GET /admin/usage, or of a range as a whole GET /admin/breakdown. */
export async function readDivided(
  get: Get,
  limits: Limits,
  { kind, key, bucket, from, to, by, isWhole }: DividedRequest,
  isEventual: boolean,
): Promise<ServedUsage> {
  const query = new URLSearchParams({ tz: 'UTC', from: toText(from), to: toText(to) })
  if (kind !== 'all') query.set(NAMES[kind], String(key))
  if (isEventual) query.set('consistency', 'eventual')
  query.set(isWhole ? 'by' : 'group_by', by)
  if (!isWhole) query.set('bucket', bucket)
  return tryToRead(get, limits, `/admin/${isWhole ? 'breakdown' : 'usage'}?${query}`)
}

async function tryToRead(get: Get, limits: Limits, path: string): Promise<ServedUsage> {
  for (let tries = 1; ; tries++) {
    try {
      const { body, positions } = await readPage(get, limits, path)
      return { body, positions }
    } catch (error) {
      // The service may have been busy.
      if (!(error instanceof NotServed) || tries === TRIES) throw error
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

const toText = (ms: number) => new Date(ms).toISOString()

/**
 * Reads all pages of a list by its cursors. Throws SourceError if it is no list or does not end.
 */
export async function* readList(
  get: Get,
  limits: Limits,
  list: string,
): AsyncGenerator<ServedPage> {
  let cursor: unknown = ''
  let bytes = 0
  while (typeof cursor === 'string') {
    const next = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page = await readPage(get, limits, `/admin/${list}?limit=1000&ended=true${next}`)
    const { items, next_cursor } = page.body
    bytes += page.bytes
    const isOver = next_cursor === null
    const isNew = typeof next_cursor === 'string' && next_cursor !== '' && next_cursor !== cursor
    const isNext = isNew && Array.isArray(items) && items.length > 0
    if (!Array.isArray(items) || (!isOver && !isNext)) {
      throw new SourceError(`/admin/${list} did not return a list`)
    }
    if (bytes > MAX_LIST_BYTES)
      throw new SourceError(`/admin/${list} has more than ${MAX_LIST_BYTES} bytes`)
    yield { rows: items, positions: page.positions }
    cursor = next_cursor
  }
}

async function readPage(get: Get, limits: Limits, path: string) {
  const response = await get(path)
  const header = response.headers.get('tallybook-position') ?? ''
  const positions = parsePositions(header, MAX_SHARDS)
  const bytes = await readBody(response, MAX_BYTES, limits)
  const body = parseExact(bytes.toString())
  const known = positions?.filter((position) => position !== undefined) ?? []
  // Shards must be named from the first on, without gaps.
  const isWhole = known.length > 0 && known.every((_, shard) => positions![shard] !== undefined)
  if (!isWhole || typeof body !== 'object' || body === null) {
    throw new SourceError(`${path} did not return a page with a Tallybook-Position`)
  }
  return { body: body as Record<string, unknown>, positions: known, bytes: bytes.length }
}

/** Digits that may be such a number. The digits of a rate, after the decimal point, don't count. */
const MANY_DIGITS = /(?<![.\d])\d{16}/

/** Parses JSON with whole numbers above 2^53 - 1 as bigints. Returns undefined if it is invalid. */
function parseExact(text: string): unknown {
  try {
    // A reviver takes ten times as long.
    if (!MANY_DIGITS.test(text)) return JSON.parse(text)
    return JSON.parse(text, function reviver(this: unknown, ...args: unknown[]) {
      const [, value, context] = args as [string, unknown, { source?: string } | undefined]
      const isRounded = typeof value === 'number' && !Number.isSafeInteger(value)
      return isRounded && /^\d+$/.test(context?.source ?? '') ? BigInt(context!.source!) : value
    })
  } catch {
    return undefined
  }
}
