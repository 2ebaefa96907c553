import type { Entry } from './flush.ts'

// What is counted and not yet sealed, for one kind of keys.

/** What identifies an account in an entry. */
export type Account = { api_key_id: number } | { api_key: string } | { token_hash: string }

type Counts = Omit<Entry, 'api_key_id' | 'api_key' | 'token_hash'>

/** Adds up entries by account and dimensions. */
export class Accumulators {
  /** Entries without dimensions, by id, external id or hash. */
  readonly #plain = new Map<number | string, Entry>()
  /** Entries with dimensions, by a text of account and dimensions. */
  readonly #divided = new Map<string, Entry>()

  get size(): number {
    return this.#plain.size + this.#divided.size
  }

  /** Adds counts in constant time; false, and nothing is added, if a sum would be inexact. */
  add(account: Account, counts: Counts): boolean {
    const entry = this.#find(account, counts.dimensions)
    if (entry === undefined) {
      this.#put({ ...account, ...copy(counts) })
      return true
    }
    if (!fits(entry, counts)) return false
    addTo(entry, counts)
    return true
  }

  /** Returns all entries and forgets them. */
  take(): Entry[] {
    const entries = [...this.#plain.values(), ...this.#divided.values()]
    this.#plain.clear()
    this.#divided.clear()
    return entries
  }

  /** Adds entries again that could not be sealed; returns those whose sums would be inexact. */
  restore(entries: readonly Entry[]): Entry[] {
    return entries.filter((entry) => !this.add(accountOf(entry), entry))
  }

  #find(account: Account, dimensions: Entry['dimensions']): Entry | undefined {
    if (dimensions === undefined) return this.#plain.get(keyOf(account))
    return this.#divided.get(dividedKeyOf(account, dimensions))
  }

  #put(entry: Entry): void {
    const account = accountOf(entry)
    if (entry.dimensions === undefined) this.#plain.set(keyOf(account), entry)
    else this.#divided.set(dividedKeyOf(account, entry.dimensions), entry)
  }
}

/** The account of an entry, without its counts. */
export function accountOf(entry: Entry): Account {
  if (entry.api_key_id !== undefined) return { api_key_id: entry.api_key_id }
  if (entry.api_key !== undefined) return { api_key: entry.api_key }
  return { token_hash: entry.token_hash! }
}

/** An id is a number and a name is a text, so the two never meet. */
function keyOf(account: Account): number | string {
  if ('api_key_id' in account) return account.api_key_id
  return 'api_key' in account ? account.api_key : account.token_hash
}

function dividedKeyOf(account: Account, dimensions: Record<string, string>): string {
  const names = Object.keys(dimensions)
  if (names.length > 1) names.sort()
  return JSON.stringify([keyOf(account), ...names.flatMap((name) => [name, dimensions[name]])])
}

function copy({ dimensions, measures, ...counts }: Counts): Counts {
  return {
    ...counts,
    ...(dimensions && { dimensions: sorted(dimensions) }),
    ...(measures && { measures: { ...measures } }),
  }
}

const sorted = (dimensions: Record<string, string>) =>
  Object.fromEntries(Object.entries(dimensions).sort(([a], [b]) => (a < b ? -1 : 1)))

const isExact = (a: number | undefined, b: number | undefined) =>
  Number.isSafeInteger((a ?? 0) + (b ?? 0))

function fits(entry: Counts, more: Counts): boolean {
  if (!isExact(entry.requests, more.requests) || !isExact(entry.tokens, more.tokens)) return false
  for (const name in more.measures)
    if (!isExact(entry.measures?.[name], more.measures[name])) return false
  return true
}

function addTo(entry: Counts, more: Counts): void {
  entry.requests += more.requests
  if (more.success_requests !== undefined)
    entry.success_requests = (entry.success_requests ?? 0) + more.success_requests
  if (more.tokens !== undefined) entry.tokens = (entry.tokens ?? 0) + more.tokens
  if (more.last_accessed_at !== undefined)
    entry.last_accessed_at = Math.max(entry.last_accessed_at ?? 0, more.last_accessed_at)
  if (more.measures === undefined) return
  entry.measures ??= {}
  for (const name in more.measures)
    entry.measures[name] = (entry.measures[name] ?? 0) + more.measures[name]!
}
