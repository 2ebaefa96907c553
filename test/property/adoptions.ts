import { expect } from 'bun:test'
import type { TestService } from '../support/service.ts'
import { type Answer, errorOnly, get, NOTHING, toAnswer } from './exact.ts'
import type { Model } from './model.ts'
import type { ExactRow } from './model-reads.ts'
import type { Kind } from './naive-body.ts'
import type { CatalogPut } from './naive-catalog.ts'
import type { Range } from './range.ts'
import type { Adopted } from './unknown.ts'

/** Posts an adoption as an admin. */
export const postAdoption = async (service: TestService, keys: CatalogPut): Promise<Answer> =>
  toAnswer(
    await service.fetch('admin', '/admin/unknown-keys/adopt', {
      method: 'POST',
      body: JSON.stringify(keys),
    }),
  )

/**
 * Adopts keys there and in the model, and compares the answers. Returns the positions of the events
 * that it must have appended to shard 0 after `head`.
 */
export async function adopt(
  service: TestService,
  model: Model,
  keys: CatalogPut,
  head: number,
): Promise<string[]> {
  const rows = Object.values(keys).flat()
  if (rows.length === 0) return []
  const answer = await postAdoption(service, keys)
  const expected = model.unknown.adopt(keys)
  if (expected === null) {
    expect(errorOnly(answer)).toEqual({ ...NOTHING, status: 409, body: 'external id conflict' })
    return []
  }
  const { isChange, counted } = expected
  const events = Number(isChange) + Number(counted !== null)
  const places = Array.from({ length: events }, (_, i) => `0/${head + 1 + i}`)
  const position = counted === null ? null : places.at(-1)!
  const body = { position, ...(counted ?? { api_keys: 0n, keys: 0n, requests: 0n }) }
  expect(answer).toEqual({ ...NOTHING, body, positions: places.at(-1) ?? null })
  if (position !== null) {
    // It can't be reversed.
    model.books.counted.push({
      ...{ at: position, kind: 'adoption', effects: [], isReversed: false },
      ...{ event: 0, effectiveMs: 0 },
    })
  }
  return places
}

/**
 * Posts the same adoption to all instances at once, and compares what they count together with the
 * model. Returns the positions of the events that must be there now, with their types.
 */
export async function adoptAtOnce(
  instances: readonly TestService[],
  keys: CatalogPut,
  expected: Adopted | null,
): Promise<Map<string, string>> {
  const answers = await Promise.all(instances.map((instance) => postAdoption(instance, keys)))
  const statuses = new Set(answers.map(({ status }) => status))
  expect([...statuses]).toEqual([expected === null ? 409 : 200])
  const places = new Map<string, string>()
  if (expected === null) return places
  const bodies = answers.map(({ body }) => body as { position: string | null; requests: bigint })
  const counted = bodies.filter(({ position }) => position !== null)
  expect(counted).toEqual(
    expected.counted === null ? [] : [expect.objectContaining(expected.counted)],
  )
  expect(bodies.filter(({ position, requests }) => position === null && requests > 0n)).toEqual([])
  const positions = answers.flatMap(({ positions }) => positions ?? [])
  // Nothing else was appended to shard 0 meanwhile.
  const last = Math.max(-1, ...positions.map((place) => Number(place.split('/')[1])))
  if (expected.counted !== null) places.set(`0/${last}`, 'UnknownKeysAdopted')
  if (expected.isChange) places.set(`0/${last - places.size}`, 'CatalogChanged')
  return places
}

/** Compares the unknown keys that `isOwn` selects with the model's. */
export async function compareUnknown(
  service: TestService,
  model: Model,
  kind: Kind,
  isOwn: (row: ExactRow) => boolean = () => true,
  reflecting: Answer | null = null,
): Promise<void> {
  const listed = await readUnknown(service, kind, reflecting)
  const own = listed.filter(isOwn)
  expect(own.toSorted(byName)).toEqual([...model.unknown.listed(kind).values()].toSorted(byName))
}

/** Reads the newest unknown keys of a kind, without their times. */
async function readUnknown(
  service: TestService,
  kind: Kind,
  reflecting: Answer | null,
): Promise<ExactRow[]> {
  const path = `/admin/unknown-keys?kind=${kind === 'keys' ? 'key' : 'api_key'}`
  const { body, ...answer } = await get(service, `${path}&sort=-last_seen&limit=1000`)
  expect<Answer>({ ...answer, body: null }).toEqual(reflecting ?? { ...NOTHING, ...answer })
  expect(answer.status).toBe(200)
  const { items, other } = body as { items: ExactRow[]; other: ExactRow }
  expect(other).toEqual({ requests: 0n, flushes: 0n })
  return items.map(({ first_seen, last_seen, ...row }) => {
    expect(String(first_seen) <= String(last_seen)).toBe(true)
    return row
  })
}

const nameOf = ({ id, external_id, token_hash }: ExactRow) =>
  String(token_hash ?? external_id ?? id)

const byName = (a: ExactRow, b: ExactRow) => (nameOf(a) < nameOf(b) ? -1 : 1)

/** Returns whether a name is that of a run; others have other ranges. */
export const isNameIn =
  (range: Range) =>
  ({ id, external_id, token_hash }: ExactRow): boolean => {
    if (typeof token_hash === 'string') return token_hash.startsWith(range.hash(''))
    if (typeof external_id === 'string') return external_id.startsWith(range.externalId(''))
    return Number(id) > range.base && Number(id) <= range.base + 100
  }
