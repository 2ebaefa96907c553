import { expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { parametersOf, runsOf, timeoutOf } from '../property/runs.ts'
import { Session } from '../property/session.ts'
import { history, type Step } from '../property/steps.ts'
import { problemsOf } from '../support/archive.ts'
import { Place } from '../support/place.ts'
import type { TestService } from '../support/service.ts'
import {
  endAll,
  inOrder,
  MOVES,
  openResharded,
  type Row,
  readLog,
  reshard,
  start,
} from './resharding.ts'

// A log that continues with another number of shards has the same events and totals.

const runs = runsOf(1)

/** A long history: the move takes most of the time, not the steps. */
const steps = fc.tuple(history, history, history).map((parts) => parts.flat())

const FIRST_SHARD = [
  ...['CatalogChanged', 'BalancesOpened', 'TotalsAdjusted', 'EventReversed'],
  ...['UnknownKeysAdopted', 'QuotaReset'],
]
const SERVICE_EVENTS = ['ProjectionAttested', 'OriginChanged', 'ShardsChanged']

/** Computes the place of each event of the old log independently of the service. */
function reshardNaively(rows: readonly Row[], shards: number): Row[] {
  const next = new Array<number>(shards).fill(0)
  let turn = 0
  return rows.flatMap((row) => {
    if (SERVICE_EVENTS.includes(row.type)) return []
    const digest = createHash('sha256')
      .update(`${row.source}\n${row.idempotency_key}`)
      .digest('hex')
    const keyed = Number(BigInt(`0x${digest.slice(0, 12)}`) % BigInt(shards))
    const free = () => turn++ % shards
    const isFirst = FIRST_SHARD.includes(row.type)
    const shard = isFirst ? 0 : row.idempotency_key === null ? free() : keyed
    return [{ ...row, shard, position: String(next[shard]!++) }]
  })
}

const READS = [
  '/admin/apikey-stats/summary?',
  '/admin/provider-groups?ended=true&sort=-total_requests&',
  '/admin/api-keys?ended=true&limit=1000&',
  '/admin/keys?ended=true&limit=1000&',
]

/** Reads all pages, as of now and as of these times. */
async function readAll(service: TestService, times: string[]): Promise<unknown[]> {
  const usage = '/admin/usage?bucket=day&from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z'
  const paths = [
    ...READS,
    usage,
    ...times.flatMap((at) => READS.map((path) => `${path}as_of=${encodeURIComponent(at)}&`)),
  ]
  return Promise.all(paths.map((path) => service.read(path)))
}

/** Expects every read to return the same in both logs. */
async function compare(old: TestService, moved: TestService, rows: readonly Row[]): Promise<void> {
  const times = [0, 0.3, 0.6].map((part) => rows[Math.floor(rows.length * part)]!.recorded_at)
  expect(await readAll(moved, times)).toEqual(await readAll(old, times))
}

async function expectVerified(
  archive: string,
  moved: TestService,
  resharded: number,
): Promise<void> {
  const report = await verifyDatabase(moved.database.address, {
    signal: new AbortController().signal,
    onProgress: () => {},
  })
  expect(report.first).toEqual([])
  await untilSigned(moved)
  const audited = await auditService(moved, { resharded: await openResharded(archive) })
  expect(audited.findings).toEqual([])
  expect(audited.report.resharded).toBe(resharded)
}

/** Writes a history to a log, moves the log, and writes another history to the new one. */
async function moveAndContinue(
  [from, to]: readonly [number, number],
  before: Step[],
  after: Step[],
) {
  const old = await start('old.example.com', from)
  const place = new Place(old.service)
  const session = await Session.begin(place.asService(), 1)
  for (const step of before) await session.take(step)
  await old.service.fetch('admin', '/admin/attestations', { method: 'POST' })
  await untilSigned(old.service)
  const rows = await readLog(old.service.database)

  const { archive, database } = await reshard(old, to)
  expect(await problemsOf(archive)).toEqual([])
  const made = await readLog(database)
  const resharded = made.filter(({ type }) => type !== 'ShardsChanged')
  expect(inOrder(resharded)).toEqual(inOrder(reshardNaively(rows, to)))
  const changes = inOrder(made.filter(({ type }) => type === 'ShardsChanged'))
  expect(changes.map(({ shard }) => shard)).toEqual(Array.from({ length: to }, (_, i) => i))

  const { service: moved } = await start('new.example.com', to, database)
  await compare(old.service, moved, rows)
  place.service = moved
  const events = rows.filter(({ type }) => !SERVICE_EVENTS.includes(type))
  const moves = reshardNaively(rows, to).map(
    (row, i) => [placeOf(events[i]!), placeOf(row)] as const,
  )
  const places = new Map(moves)
  const heads = changes.map(({ position }) => Number(position))
  session.moveOn(heads, (place) => places.get(place)!)
  // They include retries of flushes from before the move.
  for (const step of after) await session.take(step)
  await session.compareTotals()
  await moved.fetch('admin', '/admin/attestations', { method: 'POST' })
  await expectVerified(archive, moved, resharded.length)
}

for (const [from, to] of MOVES) {
  test(
    `from ${from} to ${to} shard(s): a log has the same totals and continues, in ${runs} histories`,
    async () => {
      const property = fc.asyncProperty(steps, steps, async (before, after) => {
        await moveAndContinue([from, to], before, after).finally(endAll)
      })
      await fc.assert(property, parametersOf(runs))
    },
    timeoutOf(runs * 30),
  )
}

const placeOf = ({ shard, position }: Row) => `${shard}/${position}`
