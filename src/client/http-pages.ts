import { parsePositions } from '../events/positions.ts'
import { readBody } from './http-body.ts'
import type { Get } from './http-source.ts'
import { type ServedPage, SourceError } from './source.ts'

const MOST_BYTES = 64 * 1024 * 1024
const MAX_SHARDS = 1_025

/** GET /admin/apikey-stats/summary. */
export async function readSummary(get: Get): Promise<ServedPage> {
  const { body, positions } = await readPage(get, '/admin/apikey-stats/summary')
  return { rows: [body], positions }
}

/** All pages of a list, by its cursors. */
export async function* readList(get: Get, list: string): AsyncGenerator<ServedPage> {
  let cursor: unknown = ''
  while (typeof cursor === 'string') {
    const next = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const { body, positions } = await readPage(get, `/admin/${list}?limit=1000${next}`)
    const { items, next_cursor } = body
    if (!Array.isArray(items) || next_cursor === cursor) {
      throw new SourceError(`/admin/${list} is no list`)
    }
    yield { rows: items, positions }
    cursor = next_cursor
  }
}

async function readPage(get: Get, path: string) {
  const response = await get(path)
  const header = response.headers.get('tallybook-position') ?? ''
  const positions = parsePositions(header, MAX_SHARDS)
  const text = (await readBody(response, MOST_BYTES)).toString()
  const body = parseExact(text)
  if (positions === null || typeof body !== 'object' || body === null) {
    throw new SourceError(`${path} is no page with a Tallybook-Position`)
  }
  const known = positions.filter((position) => position !== undefined)
  return { body: body as Record<string, unknown>, positions: known }
}

/** JSON whose whole numbers above 2^53 - 1 are bigints; undefined where it is none. */
function parseExact(text: string): unknown {
  try {
    return JSON.parse(text, function reviver(this: unknown, ...args: unknown[]) {
      const [, value, context] = args as [string, unknown, { source?: string } | undefined]
      const isRounded = typeof value === 'number' && !Number.isSafeInteger(value)
      return isRounded && /^\d+$/.test(context?.source ?? '') ? BigInt(context!.source!) : value
    })
  } catch {
    return undefined
  }
}
