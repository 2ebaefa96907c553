import { type Counted, NaiveBooks } from './books.ts'
import { NaiveDeclared } from './declared.ts'
import { addMeasures, type Measures } from './details.ts'
import { type Entry, type Kind, readNaively, readTimeNaively } from './naive-body.ts'
import type { CatalogPut, Named } from './naive-catalog.ts'
import { NaiveQuotas } from './quota.ts'
import { NaiveUnknown } from './unknown.ts'
import { NaiveUsage } from './usage.ts'

/** The expected answer to a POST of a flush. */
export type FlushAnswer =
  | { status: 400 | 422; error: string }
  | { status: 200; body: Record<string, bigint>; replayed: boolean; flush: Accepted }

/** A flush that counted. The test fills in the position that the service returns. */
export type Accepted = {
  kind: Kind
  entries: Entry[]
  /** When it was counted (Unix seconds), if it states that. */
  countedAt: number | null
  body: Record<string, bigint>
  /** What it counted, to be reversed. */
  counted: Counted
  at?: string
}

type Row = { name: string | null; ended: boolean }
type Rated = { requests: bigint; successes: bigint; measures: Map<string, bigint> }
type Group = Row & Rated & { external_id: string | null }
type ApiKey = Group & { group_id: number }
type Key = Row & {
  quota_limit: number
  quota_period: string
  quota_tz: string
  used: { requests: bigint; tokens: bigint; quota: bigint }
  measures: Map<string, bigint>
} & {
  last: bigint
}

const QUARTER_MS = 900_000

/** How far the time of a flush may be from now, in seconds. */
const TIMES_S = { before: 35 * 86_400, after: 300 }

/** The contract in memory, with one token per role: sequential, and nothing fails. */
export class Model {
  /** New rows without an id get one above `highest`, and above all that this model has. */
  constructor(private readonly highest = 0) {}

  readonly groups = new Map<number, Group>()
  readonly apiKeys = new Map<number, ApiKey>()
  readonly keys = new Map<string, Key>()
  readonly declared = new NaiveDeclared()
  readonly quotas = new NaiveQuotas()
  readonly books = new NaiveBooks(this)
  readonly unknown = new NaiveUnknown(this)
  readonly usage = new NaiveUsage()
  /** Flushes by idempotency key. */
  readonly remembered = new Map<string, Accepted>()

  /** Returns the numbers of rows, or the `error` if the rows contradict the catalog. */
  putCatalog(catalog: CatalogPut): Record<string, bigint> | string {
    const { provider_groups = [], api_keys = [], keys = [], dimensions, measures } = catalog
    const groupIds = nameRows(this.groups, provider_groups, this.highest)
    const apiKeyIds = nameRows(this.apiKeys, api_keys, this.highest)
    if (groupIds === null || apiKeyIds === null) return 'external id conflict'
    const refusal = this.declared.put(catalog)
    if (refusal !== null) return refusal
    for (const [i, { name }] of provider_groups.entries()) {
      const { id, external_id } = groupIds[i]!
      const old = this.groups.get(id)
      const counted = old ?? { requests: 0n, successes: 0n, measures: new Map() }
      this.groups.set(id, { ...counted, ...renamed(live(old), name), external_id })
    }
    for (const [i, { name, group_id }] of api_keys.entries()) {
      const { id, external_id } = apiKeyIds[i]!
      const old = this.apiKeys.get(id)
      const counted = old ?? { requests: 0n, successes: 0n, measures: new Map() }
      const group = group_id ?? live(old)?.group_id ?? 0
      const row = { ...counted, ...renamed(live(old), name), external_id, group_id: group }
      this.apiKeys.set(id, row)
    }
    for (const { token_hash, name, quota_limit, ...period } of keys) {
      const old = this.keys.get(token_hash)
      const used = { requests: 0n, tokens: 0n, quota: 0n }
      const counted = old ?? { used, measures: new Map(), last: 0n }
      const limit = quota_limit ?? live(old)?.quota_limit ?? -1
      const kept = live(old)
      this.keys.set(token_hash, {
        ...{ ...counted, ...renamed(kept, name), quota_limit: limit },
        quota_period: period.quota_period ?? kept?.quota_period ?? 'none',
        quota_tz: period.quota_tz ?? kept?.quota_tz ?? 'UTC',
      })
    }
    return {
      provider_groups: BigInt(provider_groups.length),
      api_keys: BigInt(api_keys.length),
      keys: BigInt(keys.length),
      ...(dimensions && { dimensions: BigInt(dimensions.length) }),
      ...(measures && { measures: BigInt(measures.length) }),
    }
  }

  /** Returns false if there is no such row or it is already retired. */
  end(row: Row | undefined): boolean {
    if (!live(row)) return false
    row!.ended = true
    return true
  }

  /** Returns the id of the API key with an external id, retired ones included; null if none has. */
  readonly apiKeyIdOf = (name: string): number | null => findByName(this.apiKeys, name)

  /** True if an entry has an id and an external id that are not of the same API key. */
  namesTwoKeys({ key: id, name }: Entry): boolean {
    if (name === null || id === 0) return false
    const owner = this.apiKeyIdOf(name)
    if (owner !== null) return owner !== id
    const row = this.apiKeys.get(id as number)
    // A retired key without an external id is as unknown as the name.
    return row !== undefined && (!row.ended || row.external_id !== null)
  }

  /** Returns the same text for the same entries in any order, however their keys are named. */
  bagOf(entries: Entry[]): string {
    return entries
      .map(({ key, name, numbers, details }) => {
        const named = name === null ? key : (this.apiKeyIdOf(name) ?? name)
        const measures = Array.from(details?.measures ?? [], ([name, value]) => `${name} ${value}`)
        const all = [...(details?.dimensions ?? []), ...measures.sort()]
        return JSON.stringify([named, numbers.map(String), all])
      })
      .sort()
      .join('\n')
  }

  flush(kind: Kind, text: string, idempotencyKey: string | null): FlushAnswer {
    const entries = readNaively(kind, text)
    const countedAt = readTimeNaively(text)
    if (entries === 'shape' || countedAt === 'shape') {
      return { status: 400, error: 'invalid request body' }
    }
    if (entries === 'numbers') return { status: 400, error: 'invalid stats payload' }
    const first = idempotencyKey === null ? undefined : this.remembered.get(idempotencyKey)
    if (first) {
      const isSame =
        first.kind === kind &&
        first.countedAt === countedAt &&
        this.bagOf(first.entries) === this.bagOf(entries)
      if (!isSame) return { status: 422, error: 'idempotency key reused' }
      return { status: 200, body: first.body, replayed: true, flush: first }
    }
    const ageS = countedAt === null ? 0 : Date.now() / 1_000 - countedAt
    const isOutOfRange = ageS > TIMES_S.before || ageS < -TIMES_S.after
    const isUndeclared = entries.some(({ details }) =>
      (['dimensions', 'measures'] as const).some(
        (kind) => !this.declared.hasAll(kind, details?.names[kind] ?? []),
      ),
    )
    if (isOutOfRange || isUndeclared || entries.some((entry) => this.namesTwoKeys(entry))) {
      return { status: 400, error: 'invalid stats payload' }
    }
    const effectiveMs = countedAt === null ? Date.now() : countedAt * 1_000
    const quarter = Math.floor(effectiveMs / QUARTER_MS)
    const counted: Counted = {
      ...{ at: '', kind: 'flush', effects: [], isReversed: false, quarter },
      ...{ event: 0, effectiveMs },
    }
    const body =
      kind === 'keys' ? this.#countKeys(entries, counted) : this.#countApiKeys(entries, counted)
    counted.event = this.quotas.note(counted.effects, counted.effectiveMs)
    this.usage.note(counted.effects, quarter)
    this.books.counted.push(counted)
    const flush: Accepted = { kind, entries, countedAt, body, counted }
    if (idempotencyKey !== null) this.remembered.set(idempotencyKey, flush)
    return { status: 200, body, replayed: false, flush }
  }

  #countApiKeys(entries: Entry[], counted: Counted): Record<string, bigint> {
    const updated = new Set<number>()
    const groups = new Set<number>()
    for (const entry of entries) {
      const { key: posted, name, numbers } = entry
      const id = (name === null ? posted : (this.apiKeyIdOf(name) ?? posted)) as number
      const key = live(this.apiKeys.get(id))
      const group = live(this.groups.get(key?.group_id ?? 0))
      if (!key) this.unknown.note('api-keys', entry, counted)
      const { measures = NONE } = entry.details ?? {}
      if (!key || (numbers[0] === 0n && measures.size === 0)) continue
      if (numbers[0]! > 0n) updated.add(id)
      if (numbers[0]! > 0n && group) groups.add(key.group_id)
      for (const row of group ? [key, group] : [key]) {
        row.requests += numbers[0]!
        row.successes += numbers[1]!
        addMeasures(row.measures, measures)
      }
      const sums = [numbers[0]!, numbers[1]!]
      counted.effects.push({ kind: 'apiKeys', id, sums, measures })
      if (group) counted.effects.push({ kind: 'groups', id: key.group_id, sums, measures })
    }
    return { updated: BigInt(updated.size), groups_updated: BigInt(groups.size) }
  }

  #countKeys(entries: Entry[], counted: Counted): Record<string, bigint> {
    let updated = 0n
    for (const entry of entries) {
      const { key: hash, numbers } = entry
      const key = live(this.keys.get(hash as string))
      if (!key) this.unknown.note('keys', entry, counted)
      const { measures = NONE } = entry.details ?? {}
      const isNothing = numbers.every((number) => number === 0n)
      if (!key || (isNothing && measures.size === 0)) continue
      const [requests, tokens, last] = numbers as [bigint, bigint, bigint]
      key.used.requests += requests
      key.used.tokens += tokens
      const quota = key.quota_limit >= 0 ? tokens : 0n
      key.used.quota += quota
      addMeasures(key.measures, measures)
      const sums = [requests, tokens, quota]
      counted.effects.push({ kind: 'keys', id: hash as string, sums, measures })
      if (last > key.last) key.last = last
      if (!isNothing) updated++
    }
    return { updated }
  }
}

const NONE: Measures = new Map()

/** Returns the row, or undefined if it is retired. */
export function live<R extends Row>(row: R | undefined): R | undefined {
  return row && !row.ended ? row : undefined
}

function renamed(old: Row | undefined, name: string | null | undefined): Row {
  if (name === '') return { name: null, ended: false }
  return { name: name ?? old?.name ?? null, ended: false }
}

function findByName(rows: Map<number, Group>, name: string): number | null {
  for (const [id, { external_id }] of rows) if (external_id === name) return id
  return null
}

/**
 * Returns the id and the external id that each posted row has afterwards, or null if they
 * contradict the rows there are.
 */
function nameRows(
  rows: Map<number, Group>,
  posted: Named[],
  highest: number,
): { id: number; external_id: string | null }[] | null {
  const ids = [...rows.keys(), ...posted.map(({ id = 0 }) => id)].filter((id) => id < 2 ** 52)
  let last = Math.max(highest, ...ids)
  const named = posted.map(({ id, external_id = null }) => {
    const owner = external_id === null ? null : findByName(rows, external_id)
    if (owner !== null && id !== undefined && owner !== id) return null
    const chosen = id ?? owner ?? ++last
    const before = rows.get(chosen)?.external_id ?? null
    if (before !== null && external_id !== null && before !== external_id) return null
    return { id: chosen, external_id: before ?? external_id }
  })
  if (named.includes(null)) return null
  const unique = new Set(named.map((row) => row!.id))
  return unique.size === named.length ? (named as NonNullable<(typeof named)[number]>[]) : null
}
