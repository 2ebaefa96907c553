import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { verify } from '../proofs/integrity/history.ts'
import { useService } from '../support/service.ts'
import { get } from './exact.ts'
import {
  DIMENSIONS,
  type ExactBody,
  expectedItems,
  type Flush,
  HASH,
  MEASURES,
  type Posted,
  type Read,
  step,
  toItems,
} from './parts-model.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'

// Usage by dimension equals a naive model's, in random histories with late flushes, reversals and
// adoptions, zones, groupings and limits; so its parts add up to the whole, now and as of any
// position.

const runs = runsOf(6)
const service = useService()

const GROUP_OF: Record<number, number> = { 1: 1, 2: 1, 3: 2, 4: 0 }

/** What was posted so far, in the order of the log; histories continue on the same service. */
const posted: Posted[] = []
const flushes: {
  place: string
  postings: Posted[]
  /** What an adoption will post. */
  unknown: Posted[]
  isReversed: boolean
}[] = []
const positions: { text: string; postings: number }[] = []

/** The number of adoptions: key 5 is another unknown key after each. */
let adoptions = 0

const UNKNOWN = 5
const idOf = (i: number) => (i === UNKNOWN ? 1_000 + adoptions : i)
const hashOf = (i: number) => (i === UNKNOWN ? `unknown ${adoptions}` : HASH)

/** An adopted key counts for group 2. */
function postingsOf({ ofKeys, entries }: Flush, atMs: number, isKnown: boolean): Posted[] {
  return entries.flatMap((one) => {
    if (isKnown !== one.id < UNKNOWN) return []
    const post = (scope: string): Posted => ({ scope, atMs, entry: one, sign: 1n })
    if (ofKeys) return [post(`token_hash=${hashOf(one.id)}`)]
    const group = isKnown ? GROUP_OF[one.id]! : 2
    const own = post(`api_key_id=${idOf(one.id)}`)
    return group === 0 ? [own] : [own, post(`group_id=${group}`), post('all')]
  })
}

async function takeFlush(one: Flush): Promise<void> {
  const nowMs = Date.now()
  const atMs = one.hoursAgo === null ? nowMs : nowMs - one.hoursAgo * 3_600_000
  const keys = one.entries.map(({ id, requests, ...details }) =>
    one.ofKeys
      ? { token_hash: hashOf(id), requests, tokens: 1, ...details }
      : { api_key_id: idOf(id), requests, success_requests: 0, ...details },
  )
  const path = one.ofKeys ? '/internal/stats/flush' : '/internal/apikey-stats/flush'
  const counted = one.hoursAgo === null ? {} : { counted_at: Math.floor(atMs / 1_000) }
  const response = await service.post(path, { keys, ...counted })
  expect(response.status).toBe(200)
  const postings = postingsOf(one, atMs, true)
  posted.push(...postings)
  const place = response.headers.get('tallybook-position')!
  const unknown = postingsOf(one, atMs, false)
  flushes.push({ place, postings, unknown, isReversed: false })
}

/** Adopts the unknown keys of this time, twice: nothing is counted again. */
async function adopt(): Promise<void> {
  const keys = {
    api_keys: [{ id: idOf(UNKNOWN), group_id: 2 }],
    keys: [{ token_hash: hashOf(UNKNOWN) }],
  }
  const post = () =>
    service.fetch('admin', '/admin/unknown-keys/adopt', {
      ...{ method: 'POST', body: JSON.stringify(keys) },
    })
  expect((await post()).status).toBe(200)
  expect(await (await post()).json()).toMatchObject({ position: null })
  adoptions++
  for (const flush of flushes) {
    if (!flush.isReversed) {
      posted.push(...flush.unknown)
      flush.postings.push(...flush.unknown)
    }
    flush.unknown = []
  }
}

const countsSomething = ({ scope, entry: one }: Posted) =>
  scope.startsWith('token_hash') ||
  one.requests > 0 ||
  Object.values(one.measures ?? {}).some((value) => value > 0)

async function reverse(nth: number): Promise<void> {
  const open = flushes.filter(
    ({ isReversed, postings }) => !isReversed && postings.some(countsSomething),
  )
  const one = open[nth % Math.max(open.length, 1)]
  if (one === undefined) return
  await service.act('/admin/corrections', { reverse: one.place, reason: 'twice' })
  one.isReversed = true
  posted.push(...one.postings.map((some) => ({ ...some, sign: -1n as const })))
}

async function getExact(path: string): Promise<{ body: ExactBody; position: string }> {
  const { status, body, positions } = await get(service, path)
  if (status !== 200) throw new Error(`${path}: ${Bun.inspect(body)}`)
  return { body: body as ExactBody, position: positions! }
}

/** The keys that were adopted last, or key 1 before. */
function scopeOf(scope: string): string {
  if (!scope.startsWith('adopted')) return scope
  if (adoptions === 0) return 'api_key_id=1'
  const last = adoptions - 1
  return scope.endsWith('hash') ? `token_hash=unknown ${last}` : `api_key_id=${1_000 + last}`
}

async function compare(one: Read): Promise<void> {
  const wanted = scopeOf(one.scope)
  const past = one.past === null ? null : positions[one.past % Math.max(positions.length, 1)]
  const from = new Date(Math.floor(Date.now() / 86_400_000) * 86_400_000 - 4 * 86_400_000)
  const to = new Date(from.getTime() + 6 * 86_400_000)
  const range = `from=${from.toISOString()}&to=${to.toISOString()}&bucket=${one.bucket}&tz=${one.tz}`
  const scope = wanted === 'all' ? '' : `&${encodeURI(wanted)}`
  const asOf = past ? `&as_of_position=${past.text}` : ''
  const { body: whole } = await getExact(`/admin/usage?${range}${scope}${asOf}`)
  const all = (past ? posted.slice(0, past.postings) : posted).filter(
    (some) => some.scope === wanted,
  )
  const by = one.by.split(',')
  const largest = one.largestBy === null ? '' : `&largest_by=measures.${one.largestBy}`
  const rest = `${scope}${asOf}&limit=${one.limit}${largest}`
  const path = `/admin/usage?${range}${rest}&group_by=${one.by}`
  const { body: divided, position } = await getExact(path)
  if (past === null) positions.push({ text: position, postings: posted.length })
  expect(toItems(divided.items, by)).toEqual(
    expectedItems(all, by, one, whole.items as { from: string; to: string }[]),
  )
  expect(divided.total).toEqual(whole.total)
  const table = `/admin/breakdown?${range.replace(/&bucket=\w+/, '')}${rest}&by=${one.by}`
  const { body: breakdown } = await getExact(table)
  const span = { from: breakdown.from, to: breakdown.to }
  const rows = breakdown.items.map((item) => ({ ...item, from: span.from }))
  expect(toItems(rows, by)).toEqual(expectedItems(all, by, one, [span]))
  expect(breakdown.total).toEqual(whole.total)
}

test(
  `usage by dimension equals the model's, in ${runs} histories`,
  async () => {
    const put = await service.putCatalog({
      provider_groups: [{ id: 1 }, { id: 2 }],
      api_keys: [1, 2, 3, 4].map((id) => ({ id, group_id: GROUP_OF[id] })),
      keys: [{ token_hash: HASH }],
      dimensions: DIMENSIONS.map((name) => ({ name })),
      measures: MEASURES.map((name) => ({ name })),
    })
    expect(put.status).toBe(200)
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 8, maxLength: 24 }),
      async (steps) => {
        for (const one of steps) {
          if (one.do === 'flush') await takeFlush(one.flush)
          else if (one.do === 'reverse') await reverse(one.nth)
          else if (one.do === 'adopt') await adopt()
          else await compare(one.read)
        }
      },
    )
    await fc.assert(property, parametersOf(runs))
    expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
  },
  timeoutOf(runs),
)
