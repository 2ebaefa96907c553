import { readDetails } from './details.ts'

/** The two kinds of flushes, by the list that their entries count for. */
export type Kind = 'api-keys' | 'keys'

export const PATHS: Record<Kind, string> = {
  'api-keys': '/internal/apikey-stats/flush',
  keys: '/internal/stats/flush',
}

/**
 * An entry that is not skipped: its key, and its numbers in the order of `NUMBERS`. An API key may
 * be named by its external id; then `key` is 0 unless its id was posted, too.
 */
export type Entry = {
  key: number | string
  name: string | null
  numbers: bigint[]
  /** Absent if it was not read from a body. */
  details?: ReturnType<typeof readDetails>
}

/** The meaning of a body; `shape` and `numbers` are the two ways in which it can be wrong. */
export type Reading = Entry[] | 'shape' | 'numbers'

const NUMBERS: Record<Kind, string[]> = {
  'api-keys': ['requests', 'success_requests'],
  keys: ['requests', 'tokens', 'last_accessed_at'],
}
const KEYS: Record<Kind, string[]> = {
  'api-keys': ['api_key_id', 'api_key'],
  keys: ['token_hash'],
}

const YEAR_10000 = BigInt(Date.UTC(10_000, 0) / 1000)

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

/** Reads a flush's body by the words of the contract: shape, then skipped entries, then numbers. */
export function readNaively(kind: Kind, text: string): Reading {
  let body: Json
  try {
    body = JSON.parse(text)
  } catch {
    return 'shape'
  }
  if (body === null) return []
  const fields = readObject(body, ['keys'])
  if (fields === null) return 'shape'
  const list = fields.get('keys') ?? []
  if (!Array.isArray(list)) return 'shape'
  const readings = list.map((entry) => readEntry(kind, entry))
  if (readings.includes('shape')) return 'shape'
  if (readings.includes('numbers')) return 'numbers'
  return readings.filter((reading) => typeof reading === 'object')
}

/** Returns the time that a body states (Unix seconds): null for none, 'shape' if it is no number. */
export function readTimeNaively(text: string): number | null | 'shape' {
  let body: Json
  try {
    body = JSON.parse(text)
  } catch {
    return 'shape'
  }
  const time = readObject(body, ['counted_at'])?.get('counted_at') ?? null
  if (time === null) return null
  return isExactInteger(time) ? (time as number) : 'shape'
}

function readEntry(kind: Kind, entry: Json): Entry | 'skipped' | 'shape' | 'numbers' {
  if (entry === null) return 'skipped'
  const fields = readObject(entry, [...KEYS[kind], ...NUMBERS[kind]])
  if (fields === null) return 'shape'
  const posted = NUMBERS[kind].map((name) => fields.get(name) ?? 0)
  if (!posted.every(isExactInteger)) return 'shape'
  const numbers = posted.map((number) => BigInt(number as number))
  const key = kind === 'keys' ? readText(fields, 'token_hash') : readId(fields)
  const name = kind === 'keys' ? '' : readText(fields, 'api_key')
  if (key === null || name === null) return 'shape'
  if ((key === 0 || key === '') && name === '') return 'skipped'
  if (numbers.some((number) => number < 0n)) return 'numbers'
  if (kind === 'api-keys' && numbers[1]! > numbers[0]!) return 'numbers'
  if (kind === 'keys' && numbers[2]! >= YEAR_10000) return 'numbers'
  return { key, name: name === '' ? null : name, numbers, details: readDetails(fields) }
}

/** Returns null if it is not an id; 0 means that the entry is skipped. */
function readId(fields: Map<string, Json>): number | null {
  const id = fields.get('api_key_id') ?? 0
  return isExactInteger(id) && (id as number) >= 0 ? Math.abs(id as number) : null
}

/** Returns null if it is not a name, '' if blank. A lone surrogate becomes U+FFFD, as in UTF-8. */
function readText(fields: Map<string, Json>, field: string): string | null {
  const posted = fields.get(field) ?? ''
  if (typeof posted !== 'string') return null
  const text = posted.replace(/^\s+/, '').replace(/\s+$/, '')
  return text.includes('\0') ? null : Buffer.from(text, 'utf8').toString('utf8')
}

/** Returns an object's fields; null if it is no object, or has fields and none is known. */
function readObject(value: Json, known: string[]): Map<string, Json> | null {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return null
  const fields = new Map(Object.entries(value))
  if (fields.size > 0 && !known.some((name) => fields.has(name))) return null
  return fields
}

function isExactInteger(value: Json): boolean {
  return typeof value === 'number' && value % 1 === 0 && Math.abs(value) < 2 ** 53
}
