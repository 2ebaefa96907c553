import type { Entry, Kind } from './flush.ts'

// What is counted and not yet sealed, for one kind of keys.

/** Names an account: the id of an API key is a number; external ids and hashes are texts. */
export type AccountKey = number | string

/** Counts to add. Undefined is zero. */
export type Counts = {
  readonly name?: string | undefined
  readonly group?: string | undefined
  readonly requests: number
  readonly success_requests?: number | undefined
  readonly tokens?: number | undefined
  readonly last_accessed_at?: number | undefined
  readonly dimensions?: Readonly<Record<string, string>> | undefined
  readonly measures?: Readonly<Record<string, number>> | undefined
}

/** Adds up entries by account and dimensions. */
export class Accumulators {
  readonly #kind: Kind
  readonly #plain = new Map<AccountKey, Entry>()
  /** Entries with dimensions, by account and by a text of the dimensions. */
  readonly #divided = new Map<AccountKey, Map<string, Entry>>()
  #size = 0

  constructor(kind: Kind) {
    this.#kind = kind
  }

  get size(): number {
    return this.#size
  }

  /** True if something was counted for an account since the last `take`. */
  has(key: AccountKey): boolean {
    return this.#plain.has(key) || this.#divided.has(key)
  }

  /** Adds counts in constant time; false, and nothing is added, if a sum would be inexact. */
  add(key: AccountKey, counts: Counts): boolean {
    const { dimensions } = counts
    const text = dimensions === undefined ? '' : textOf(dimensions)
    const entry = text === '' ? this.#plain.get(key) : this.#divided.get(key)?.get(text)
    if (entry !== undefined) return addTo(entry, counts)
    this.#put(key, text, makeEntry(this.#kind, key, counts))
    return true
  }

  /** Returns all entries and forgets them. */
  take(): Entry[] {
    const entries = [...this.#plain.values()]
    for (const divided of this.#divided.values()) entries.push(...divided.values())
    this.#plain.clear()
    this.#divided.clear()
    this.#size = 0
    return entries
  }

  /** Adds entries that could not be sealed again; returns those whose sums would be inexact. */
  restore(entries: readonly Entry[]): Entry[] {
    return entries.filter((entry) => !this.add(keyOf(entry), entry))
  }

  #put(key: AccountKey, text: string, entry: Entry): void {
    this.#size++
    if (text === '') {
      this.#plain.set(key, entry)
      return
    }
    const divided = this.#divided.get(key)
    if (divided) divided.set(text, entry)
    else this.#divided.set(key, new Map([[text, entry]]))
  }
}

/** The account of an entry. */
export const keyOf = (entry: Entry): AccountKey =>
  entry.api_key_id ?? entry.api_key ?? entry.token_hash!

/** A text that is equal for equal dimensions. Names and values contain no NUL. */
function textOf(dimensions: Readonly<Record<string, string>>): string {
  const names = Object.keys(dimensions)
  if (names.length > 1) names.sort()
  let text = ''
  for (const name of names) text += `${name}\0${dimensions[name]}\0`
  return text
}

function makeEntry(kind: Kind, key: AccountKey, counts: Counts): Entry {
  const entry: Entry = {
    ...(kind === 'token'
      ? { token_hash: `${key}` }
      : typeof key === 'number'
        ? { api_key_id: key }
        : { api_key: key }),
    requests: counts.requests,
  }
  describe(entry, counts)
  if (counts.success_requests !== undefined) entry.success_requests = counts.success_requests
  if (counts.tokens !== undefined) entry.tokens = counts.tokens
  if (counts.last_accessed_at !== undefined) entry.last_accessed_at = counts.last_accessed_at
  if (hasMembers(counts.dimensions)) entry.dimensions = sorted(counts.dimensions)
  if (hasMembers(counts.measures)) entry.measures = { ...counts.measures }
  return entry
}

/** Adds what describes the key and is not there yet. */
function describe(entry: Entry, { name, group }: Counts): void {
  if (name !== undefined) entry.name ??= name
  if (group !== undefined) entry.group ??= group
}

function hasMembers<Members extends object>(members: Members | undefined): members is Members {
  for (const _ in members) return true
  return false
}

const sorted = (dimensions: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(dimensions).sort(([a], [b]) => (a < b ? -1 : 1)))

/** Adds counts to an entry, unless a sum would be inexact. */
function addTo(entry: Entry, more: Counts): boolean {
  const requests = entry.requests + more.requests
  const tokens = (entry.tokens ?? 0) + (more.tokens ?? 0)
  if (requests > Number.MAX_SAFE_INTEGER || tokens > Number.MAX_SAFE_INTEGER) return false
  for (const name in more.measures)
    if ((entry.measures?.[name] ?? 0) + more.measures[name]! > Number.MAX_SAFE_INTEGER) return false
  describe(entry, more)
  entry.requests = requests
  if (more.success_requests !== undefined)
    entry.success_requests = (entry.success_requests ?? 0) + more.success_requests
  if (more.tokens !== undefined) entry.tokens = tokens
  if (more.last_accessed_at !== undefined)
    entry.last_accessed_at = Math.max(entry.last_accessed_at ?? 0, more.last_accessed_at)
  for (const name in more.measures) {
    entry.measures ??= {}
    entry.measures[name] = (entry.measures[name] ?? 0) + more.measures[name]!
  }
  return true
}
