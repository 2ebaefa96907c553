import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { PayloadError } from '../../src/events/columns.ts'
import { decodeEvent, EVENT_TYPES, type Event, toRows, versionOf } from '../../src/events/event.ts'
import {
  type AttributedFlush,
  answerFlush,
  attributeFlush,
  encodeFlush,
  resolveFlush,
} from '../../src/events/flush.ts'
import { parseFlush } from '../../src/http/flushes/model.ts'
import { CURRENT } from '../../src/read-model/projections/index.ts'
import { goodEntry, type KeyNames } from './arbitraries.ts'
import { foldRows, sumRows } from './folded.ts'
import { live, Model } from './model.ts'
import { type Entry, type Kind, readNaively } from './naive-body.ts'
import type { CatalogPut } from './naive-catalog.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'

const runs = runsOf(1_000)

/** Ids and hashes of all tests here: few, so that they collide. */
const ID = fc.integer({ min: 1, max: 6 })
const HASH = fc.constantFrom('a', 'b', 'c"\\', 'd')
const nameOf = (id: number) => `x"\\${id}`
const NAME = ID.map(nameOf)
/** A name of an API key, and rarely two, which may be those of two keys. */
const KEY_NAMES: fc.Arbitrary<KeyNames> = fc.oneof(
  { weight: 9, arbitrary: fc.record({ api_key_id: ID }) },
  { weight: 5, arbitrary: fc.record({ api_key: NAME }) },
  { weight: 1, arbitrary: ID.map((id) => ({ api_key_id: id, api_key: nameOf(id) })) },
  { weight: 1, arbitrary: fc.record({ api_key_id: ID, api_key: NAME }) },
)

const catalog: fc.Arbitrary<CatalogPut> = fc.record({
  provider_groups: fc.subarray([{ id: 1 }, { id: 2 }, { id: Number.MAX_SAFE_INTEGER }]),
  api_keys: fc.uniqueArray(
    fc
      .record({
        id: ID,
        named: fc.boolean(),
        group_id: fc.constantFrom(0, 1, 2, 3, Number.MAX_SAFE_INTEGER),
      })
      .map(({ named, ...row }) => (named ? { ...row, external_id: nameOf(row.id) } : row)),
    { selector: ({ id }) => id },
  ),
  keys: fc.uniqueArray(fc.record({ token_hash: HASH, quota_limit: fc.constantFrom(-1, 0, 5) }), {
    selector: ({ token_hash }) => token_hash,
  }),
})

const flush: fc.Arbitrary<{ kind: Kind; text: string }> = fc
  .constantFrom<Kind>('api-keys', 'keys')
  .chain((kind) =>
    fc
      .array(goodEntry<KeyNames | string>(kind, kind === 'keys' ? HASH : KEY_NAMES), {
        maxLength: 12,
      })
      .map((keys) => ({ kind, text: JSON.stringify({ keys }) })),
  )

test(
  `an event records the flush, its attribution and its answer, in ${runs} runs`,
  () => {
    const property = fc.property(catalog, flush, (put, { kind, text }) => {
      const model = modelOf(put)
      const event = toEvent(model, kind, text)
      const answer = model.flush(kind, text, null)
      expect(answer.status).toBe(event === null ? 400 : 200)
      if (event === null || answer.status !== 200) return
      const rows = toRows(event)!
      expect(model.bagOf(rows.map(toEntry))).toBe(model.bagOf(answer.flush.entries))
      expect(toBigInts(answerFlush(event))).toEqual(answer.body)
      for (const row of rows) {
        if ('token_hash' in row) {
          const key = live(model.keys.get(row.token_hash))
          expect(row.quota_tracked).toBe(key ? key.quota_limit >= 0 : null)
        } else {
          if (row.api_key !== undefined) expect(model.apiKeyIdOf(row.api_key)).toBeNull()
          const key = live(model.apiKeys.get(row.api_key_id ?? 0))
          const group = model.groups.has(key?.group_id ?? 0) ? key!.group_id : 0
          expect(row.group_id).toBe(key ? group : null)
        }
      }
    })
    fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs),
)

test(
  `events folded in any batches and order add up to the model's totals, in ${runs} runs`,
  () => {
    const flushes = fc.array(fc.record({ flush, batch: fc.nat(3) }), { maxLength: 20 })
    const property = fc.property(catalog, flushes, (put, posted) => {
      const model = modelOf(put)
      const batches: Event[][] = [[], [], [], []]
      for (const { flush, batch } of posted) {
        const event = toEvent(model, flush.kind, flush.text)
        if (event !== null) batches[batch]!.push(event)
        model.flush(flush.kind, flush.text, null)
      }
      expect(sumRows(batches.map(foldRows))).toEqual(countersOf(model))
    })
    fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs),
)

const junk = fc.oneof(
  fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 }),
  fc.constantFrom('\0', 'a\0', '\ud800', '', 0, -1, 1.5, 2 ** 53, 253402300800, true, null, {}, []),
)

/** The payload that an append writes, with a value or a column replaced, or a column removed. */
const nearPayload = fc
  .record({
    put: catalog,
    flush,
    junk,
    part: fc.nat(2),
    field: fc.nat(9),
    at: fc.nat(20),
    old: fc.boolean(),
  })
  .map(({ put, flush: { kind, text }, junk, part, field, at, old }) => {
    const isCatalog = field >= 7
    const model = modelOf(put)
    const event = toEvent(model, kind, text) ?? toEvent(model, kind, '{}')!
    const upserted = Object.fromEntries(
      Object.entries(put).map(([name, rows]) => [
        name,
        rows.map((row) => ({ name: null, ...row, ...(at === 0 ? { name: junk } : {}) })),
      ]),
    )
    const payload: Record<string, unknown> = isCatalog
      ? upserted
      : // Version 1 of an API key flush has the same columns as it has in memory.
        { ...(old ? event.data : JSON.parse(encodeFlush(event))) }
    const name = Object.keys(payload)[field % Object.keys(payload).length]!
    const column = payload[name] as unknown[]
    if (part === 0) payload[name] = at % 2 === 0 ? junk : undefined
    else if (part === 1 && column.length > 0) payload[name] = column.with(at % column.length, junk)
    return isCatalog
      ? { type: 'CatalogChanged', text: JSON.stringify({ upserted: payload, ended: {} }) }
      : { type: event.type, text: JSON.stringify(payload) }
  })

test(
  `a stored payload decodes and folds, or is a PayloadError, in ${runs * 3} runs`,
  () => {
    const seen = { read: 0, refused: 0 }
    const event = fc.oneof(
      { weight: 9, arbitrary: nearPayload },
      fc.record({
        type: fc.constantFrom(...Object.keys(EVENT_TYPES), '', 'toString', '__proto__'),
        text: fc.oneof(fc.json({ stringUnit: 'binary' }), fc.string()),
      }),
    )
    const version = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(1, 2, 3) }, fc.integer())
    const property = fc.property(event, version, ({ type, text }, version) => {
      let event: Event
      try {
        event = decodeEvent(type, version, text)
      } catch (error) {
        expect(error).toBeInstanceOf(PayloadError)
        expect(() => decodeEvent(type, version, Buffer.from(text))).toThrow(error as PayloadError)
        seen.refused++
        return
      }
      expect(decodeEvent(type, version, Buffer.from(text))).toEqual(event)
      seen.read++
      const rows = toRows(event)
      if (rows !== null) answerFlush(event as AttributedFlush)
      if (event.type === 'ApiKeyStatsFlushed') {
        // Every entry is in a group run, even without a group.
        expect(event.data.counts.reduce((sum, next) => sum + next, 0)).toBe(rows!.length)
      }
      for (const value of foldRows([event]).texts) {
        // PostgreSQL accepts neither: the projector would retry forever.
        expect(value.includes('\0') || !value.isWellFormed()).toBe(false)
      }
    })
    fc.assert(property, parametersOf(runs * 3))
    expect(Math.min(seen.read, seen.refused)).toBeGreaterThanOrEqual(Math.floor(runs / 10))
  },
  timeoutOf(runs),
)

test('these tests fold every current projection', () => {
  expect(CURRENT.map(({ name }) => name)).toEqual([
    'api_key_counters',
    'bookkeeping',
    'catalog',
    'key_counters',
    'provider_group_counters',
  ])
})

function modelOf(put: CatalogPut): Model {
  const model = new Model()
  model.putCatalog(put)
  return model
}

/**
 * Returns the flush as read from the log, attributed with the model's catalog; null if an entry
 * names two API keys.
 */
function toEvent(model: Model, kind: Kind, text: string): AttributedFlush | null {
  const groupOf = (id: number) => {
    const key = live(model.apiKeys.get(id))
    if (!key) return null
    return live(model.groups.get(key.group_id)) ? key.group_id : 0
  }
  const quotaTrackedOf = (hash: string) => {
    const key = live(model.keys.get(hash))
    return key ? key.quota_limit >= 0 : null
  }
  const type = kind === 'keys' ? 'KeyStatsFlushed' : 'ApiKeyStatsFlushed'
  const parsed = parseFlush(type, text, false)
  if ('error' in parsed) throw new Error(`${text}: ${parsed.detail}`)
  const externalIdOf = (id: number) => model.apiKeys.get(id)?.external_id ?? null
  const resolved = resolveFlush(parsed, {
    ...{ groupOf, externalIdOf },
    apiKeyIdOf: model.apiKeyIdOf,
    hasDimension: () => false,
    measureNumberOf: () => null,
  })
  if ('kind' in resolved) {
    const entries = readNaively(kind, text) as Entry[]
    expect(entries.some((entry) => model.namesTwoKeys(entry))).toBe(true)
    return null
  }
  const attributed = attributeFlush(resolved, { groupOf, quotaTrackedOf })
  const event = decodeEvent(
    attributed.type,
    versionOf(attributed),
    encodeFlush(attributed),
  ) as AttributedFlush
  // Version 1 has the columns as they are in memory; upcast, it is the same event.
  if (versionOf(event) < 3) {
    expect(decodeEvent(attributed.type, 1, JSON.stringify(attributed.data))).toEqual(event)
  }
  return event
}

function toEntry(row: NonNullable<ReturnType<typeof toRows>>[number]): Entry {
  return 'token_hash' in row
    ? {
        ...{ key: row.token_hash, name: null },
        numbers: [row.requests, row.tokens, row.last_accessed_at].map(BigInt),
      }
    : {
        ...{ key: row.api_key_id ?? 0, name: row.api_key ?? null },
        numbers: [row.requests, row.success_requests].map(BigInt),
      }
}

const toBigInts = (answer: object) =>
  Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, BigInt(value)]))

/** Returns the model's nonzero counters in the form of `sumRows`. */
function countersOf({ apiKeys, groups, keys }: Model) {
  const row = (id: string, numbers: bigint[]): [string, bigint[]] => [id, numbers]
  const rated = (rows: Model['groups'] | Model['apiKeys']) =>
    [...rows].map(([id, { requests, successes }]) => row(String(id), [requests, successes]))
  const used = [...keys].map(([hash, { used, last }]) =>
    row(hash, [used.requests, used.tokens, used.quota, last]),
  )
  const nonZero = (rows: [string, bigint[]][]) =>
    Object.fromEntries(rows.filter(([, numbers]) => numbers.some((number) => number !== 0n)))
  return {
    api_key_counters: nonZero(rated(apiKeys)),
    key_counters: nonZero(used),
    provider_group_counters: nonZero(rated(groups)),
  }
}
