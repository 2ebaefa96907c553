import type { Exact } from '../../../events/exact.ts'

/** The names of both kinds of keys. */
export const KINDS = { api_key: 'API key', key: 'token key' } as const

export type Kind = keyof typeof KINDS

/** Counts that no adoption has taken. */
export type Counts = { requests: Exact; flushes: Exact }

/** A key as the service lists it, of either kind. */
export type UnknownKey = Counts & {
  id?: number | null
  external_id?: string | null
  token_hash?: string
  first_seen: string
  last_seen: string
}

/** Returns the name of a key in flushes: `#7` for an id, else its external id or hash. */
export const nameOf = ({ id, external_id, token_hash }: UnknownKey): string =>
  token_hash ?? external_id ?? `#${id}`

/** Returns a text that differs for all keys of a kind. */
export const keyOf = ({ id, external_id, token_hash }: UnknownKey): string =>
  token_hash ?? (typeof external_id === 'string' ? `ext:${external_id}` : String(id))
