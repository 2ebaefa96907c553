import fc from 'fast-check'
import { goodEntry, type KeyNames } from './arbitraries.ts'
import { type ActStep, actStep } from './books.ts'
import { type DeclaredKind, declaration, declaredName } from './declared.ts'
import { withDetails } from './details.ts'
import type { Kind } from './naive-body.ts'
import type { CatalogPut, Named } from './naive-catalog.ts'
import { GROUPS, SLOTS } from './slots.ts'
import { type PlannedSequence, plannedSequence } from './sources.ts'

/**
 * A step of a history. Ids, external ids and hashes are small; a run moves them to a range of its
 * own.
 */
export type Step =
  | ActStep
  | { do: 'put'; catalog: CatalogPut }
  /** Names keys: unknown, known or retired ones. */
  | { do: 'adopt'; catalog: CatalogPut }
  | { do: 'reset'; slot: number }
  | { do: 'retire'; kind: DeclaredKind; name: string }
  | ({ do: 'end'; list: ListName } & Slot)
  /** `ageS`: how many seconds ago it was counted, if it says so. */
  | ({ do: 'flush'; idempotencyKey: boolean; sequence: PlannedSequence | null } & PlannedFlush)
  /** Repeats the idempotency key of an earlier flush; `nth` selects it and what changes. */
  | { do: 'retry'; nth: number; change: Change }
  | { do: 'refused'; kind: Kind; text: string; idempotencyKey: boolean }
  | ({
      do: 'read'
      what: 'list' | 'row' | 'summary' | 'unknown' | 'declared'
      list: ListName
      ended: boolean
    } & Slot)

/** Selects a row; `byName` addresses it by its external id. */
type Slot = { slot: number; byName: boolean }
type Change = 'none' | 'shuffled' | 'more' | 'less' | 'other numbers' | 'other time' | 'other kind'
type ListName = 'provider-groups' | 'api-keys' | 'keys'

const list = fc.constantFrom<ListName>('provider-groups', 'api-keys', 'keys')
const slot = fc.integer({ min: 1, max: SLOTS })
const hash = slot.map(String)
const group = fc.integer({ min: 1, max: GROUPS })
const kind = fc.constantFrom<Kind>('api-keys', 'keys')

/** A field that is present, null, or left out. */
const partial = <Value>(value: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 3, arbitrary: value }, fc.constantFrom(null, undefined))
const name = partial(fc.constantFrom('', 'n1', "it's", '{"a"}', 'ü\\"', 'null'))
const rows = <Row>(row: fc.Arbitrary<Row>, names: (keyof Row)[]) =>
  fc.option(
    fc.uniqueArray(row, {
      comparator: (a, b) => names.some((name) => a[name] != null && a[name] === b[name]),
      maxLength: SLOTS,
      size: 'max',
    }),
    { nil: undefined, freq: 5 },
  )

/** The external id of the row in a slot, if nothing else got it. */
const nameOf = (slot: number) => `x${slot}`

/** Names of a row: most go together, so that few catalogs are refused. */
const namesOf = (id: fc.Arbitrary<number>): fc.Arbitrary<Named> =>
  fc.oneof(
    { weight: 12, arbitrary: fc.record({ id }) },
    { weight: 6, arbitrary: id.map((id) => ({ id, external_id: nameOf(id) })) },
    { weight: 4, arbitrary: slot.map((id) => ({ external_id: nameOf(id) })) },
    { weight: 1, arbitrary: fc.record({ id, external_id: slot.map(nameOf) }) },
    { weight: 1, arbitrary: fc.record({ id, external_id: fc.constant(null) }) },
  )

const withNames = <Row>(id: fc.Arbitrary<number>, rest: fc.Arbitrary<Row>) =>
  fc.tuple(namesOf(id), rest).map(([names, row]) => ({ ...names, ...row }))

export const catalog = fc.record({
  provider_groups: rows(withNames(group, fc.record({ name })), ['id', 'external_id']),
  api_keys: rows(withNames(slot, fc.record({ group_id: partial(fc.nat(GROUPS + 1)), name })), [
    ...(['id', 'external_id'] as const),
  ]),
  keys: rows(
    fc.record({
      token_hash: hash,
      quota_limit: partial(fc.constantFrom(-1, 0, 10, Number.MAX_SAFE_INTEGER)),
      name,
    }),
    ['token_hash'],
  ),
}) as fc.Arbitrary<CatalogPut>

/** Keys to adopt: most have their external id, or none yet. */
export const adoption: fc.Arbitrary<CatalogPut> = catalog
  .map(({ api_keys, keys }) => ({ ...(api_keys && { api_keys }), ...(keys && { keys }) }))
  .filter(({ api_keys = [], keys = [] }) => api_keys.length + keys.length > 0)
const period = fc.record({
  quota_period: partial(fc.constantFrom('none', 'day', 'week', 'month')),
  quota_tz: partial(fc.constantFrom('UTC', 'Asia/Kathmandu')),
})

/** A catalog whose token keys may have quota periods. */
const withPeriods = fc
  .tuple(catalog, fc.array(period, { minLength: SLOTS, maxLength: SLOTS }))
  .map(([{ keys, ...others }, periods]) => ({
    ...others,
    ...(keys && { keys: keys.map((key, i) => ({ ...key, ...periods[i] })) }),
  })) as fc.Arbitrary<CatalogPut>

/** A name of an API key, and rarely two, which may be those of two keys. */
const keyNames: fc.Arbitrary<KeyNames> = fc.oneof(
  { weight: 24, arbitrary: fc.record({ api_key_id: slot }) },
  { weight: 12, arbitrary: fc.record({ api_key: slot.map(nameOf) }) },
  { weight: 2, arbitrary: slot.map((id) => ({ api_key_id: id, api_key: nameOf(id) })) },
  { weight: 1, arbitrary: fc.record({ api_key_id: slot, api_key: slot.map(nameOf) }) },
)

export type PlannedFlush = { kind: Kind; entries: (object | null)[]; ageS: number | null }

/** How long ago a flush was counted: just now, in the last hours or weeks, or in a moment. */
const age = fc.oneof(
  { weight: 3, arbitrary: fc.constant(null) },
  fc.constantFrom(0, 60, 900, 7_200, 100_000, 34 * 86_400, -240),
)

/** A flush that is accepted, unless an entry names two API keys. */
export const goodFlush: fc.Arbitrary<PlannedFlush> = kind.chain((kind) =>
  fc.record({
    kind: fc.constant(kind),
    entries: fc.array(
      withDetails(goodEntry<KeyNames | string>(kind, kind === 'keys' ? hash : keyNames)),
      { maxLength: 8 },
    ),
    ageS: age,
  }),
)

/** The same, at a time that is accepted or not. */
const flushAtAnyTime = fc
  .tuple(
    goodFlush,
    fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, fc.constantFrom(36 * 86_400, -900)),
  )
  .map(([flush, ageS]) => (ageS === null ? flush : { ...flush, ageS }))

const refused = fc
  .tuple(
    kind,
    fc.constantFrom(
      ...['', '[]', '{"keys":1}', '{"other":[]}', '{"keys":[1]}', '{"keys":[{"other":1}]}'],
      ...['{"keys":[GOOD,{"api_key_id":1,"requests":-1,"token_hash":"1"}]}', '{"keys":[GOOD]} x'],
      ...['{"keys":[GOOD,{"api_key_id":1,"requests":9007199254740992,"token_hash":"1"}]}'],
      '{"keys":[{"api_key_id":1,"success_requests":1,"token_hash":"1","tokens":-1},GOOD]}',
    ),
  )
  .map(([kind, text]) => ({
    kind,
    text: text.replace('GOOD', '{"api_key_id":1,"requests":5,"token_hash":"1"}'),
  }))

const only = <Name extends string>(name: Name) => fc.constant(name)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 7, arbitrary: actStep },
  { weight: 3, arbitrary: fc.record({ do: only('put'), catalog: withPeriods }) },
  { weight: 2, arbitrary: fc.record({ do: only('put'), catalog: declaration }) },
  { weight: 2, arbitrary: declaredName.map((named) => ({ do: 'retire' as const, ...named })) },
  { weight: 2, arbitrary: fc.record({ do: only('reset'), slot }) },
  { weight: 4, arbitrary: fc.record({ do: only('adopt'), catalog: adoption }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: only('end'), list, slot, byName: fc.boolean() }),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({
        ...{ do: only('flush'), flush: flushAtAnyTime },
        ...{ idempotencyKey: fc.boolean(), sequence: plannedSequence },
      })
      .map(({ flush, ...step }) => ({ ...step, ...flush })),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: only('retry'),
      nth: fc.nat(9),
      change: fc.constantFrom(
        ...['none', 'shuffled', 'more', 'less', 'other numbers', 'other time', 'other kind'],
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ do: only('refused'), body: refused, idempotencyKey: fc.boolean() })
      .map(({ body, ...step }) => ({ ...step, ...body })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: only('read'),
      what: fc.constantFrom('list', 'row', 'summary', 'unknown', 'declared'),
      list,
      slot,
      byName: fc.boolean(),
      ended: fc.boolean(),
    }),
  },
) as fc.Arbitrary<Step>

/** Contains every key except the last, so that most flushes count. */
const fullCatalog: CatalogPut = {
  provider_groups: [{ id: 1, external_id: nameOf(1) }, { id: 2 }],
  api_keys: [1, 2, 3, 4, 5].map((id) => ({
    id,
    ...(id < 4 ? { external_id: nameOf(id) } : {}),
    group_id: id % (GROUPS + 1),
  })),
  keys: [1, 2, 3, 4, 5].map((id) => ({
    token_hash: String(id),
    quota_limit: Math.max(-1, id - 3),
    ...(id > 3 && { quota_period: 'day', quota_tz: 'Asia/Kathmandu' }),
  })),
}

/** A PUT of a catalog, followed by random steps. */
export const history: fc.Arbitrary<Step[]> = fc
  .tuple(
    fc.oneof(withPeriods, fc.constant(fullCatalog)),
    fc.array(step, { maxLength: 24, size: 'max' }),
  )
  .map(([catalog, steps]) => [{ do: 'put', catalog }, ...steps])
