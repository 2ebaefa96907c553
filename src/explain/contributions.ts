import { PayloadError } from '../events/columns.ts'
import { decodeEvent } from '../events/event.ts'
import { startOfQuarterHour } from '../events/instant.ts'
import type { Stretch } from '../log/archived.ts'
import { readPositionAt } from '../log/position-at.ts'
import { readEvent, readRecordedAt } from '../log/read.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { beforeBlock, endOfBlock, endsBlock } from '../read-model/projections/backdated.ts'
import { type Content, contentOf } from '../read-model/projections/entry.ts'
import { GRAINS, type Grain, TIMELY } from '../read-model/projections/rolled-up.ts'
import { usage } from '../read-model/projections/usage.ts'
import type { AsOfQueries } from '../read-model/queries/as-of.ts'
import {
  type Counted,
  contributionOf,
  isNothing,
  plus,
} from '../read-model/queries/contribution.ts'
import type { ReadLarge } from '../read-model/queries/read-large.ts'
import { backdatedRows, rowsBy, type Scope, timelyRows } from '../read-model/queries/scope.ts'
import { type Candidate, readCandidates } from './candidates.ts'

/** Maximum number of events that one call scans: about 20 MB, a fifth of a second. */
const MAX_SCANNED_EVENTS = 20_000

/** Maximum number of quarter hours or days, and of backdated events, that one call reads. */
const MAX_QUARTER_HOURS = 96

/** A flush or an act that contributes to a total, and what it added. */
export type Contribution = {
  shard: number
  position: number
  type: string
  /** RFC 3339. */
  recordedAt: string
  source: string
  idempotencyKey: string | null
  /** When the flush was counted (Unix seconds), if it states that; otherwise null. */
  countedAt: number | null
  counted: Counted
}

/** Contributions found, and the position through which the log was searched. */
export type Contributions = { found: Contribution[]; readThrough: number }

/** Events of one shard, after `after` through `through`. */
type Range = { after: number; through: number }

/**
 * Returns the events of one shard in a range that add to the totals of `scope`: at most `limit`,
 * and fewer if many others lie between. Skips quarter hours and days for which usage has no rows.
 */
export async function readContributions(
  {
    sql,
    history: { readLarge },
  }: { sql: Sql | Transaction; history: Pick<AsOfQueries, 'readLarge'> },
  scope: Scope,
  { shard, after, through }: Range & { shard: number },
  limit: number,
): Promise<Contributions> {
  const found: Contribution[] = []
  const { ranges, known } = await readRanges(sql, scope, shard, { after, through })
  let left = MAX_SCANNED_EVENTS
  for (const range of ranges) {
    const end = Math.min(range.through, range.after + left)
    for (let last = range.after; last < end; ) {
      // A page may need fewer, but most candidates may be others: few statements read them all.
      const options = { limit, smallOnly: readLarge !== null }
      const stretch = { shard, after: last, through: end }
      const { candidates, readThrough } = await readCandidates(sql, scope, stretch, options)
      for (const candidate of candidates) {
        const counted = await countOf({ ...candidate, shard }, scope, readLarge)
        if (isNothing(counted)) continue
        const { position, type, recordedAt, source, idempotencyKey } = candidate
        const countedAt = candidate.countedAt()
        const event = { shard, position, type, recordedAt, source, idempotencyKey, countedAt }
        found.push({ ...event, counted })
        if (found.length === limit) return { found, readThrough: position }
      }
      last = readThrough
    }
    left -= end - range.after
    if (left <= 0) return { found, readThrough: end }
  }
  return { found, readThrough: known }
}

/**
 * Returns the ranges to search: the quarter hours that have usage, and events that usage has not
 * folded yet. The ranges are complete through `known`.
 */
async function readRanges(
  sql: Sql | Transaction,
  scope: Scope,
  shard: number,
  { after, through }: Range,
): Promise<{ ranges: Range[]; known: number }> {
  const first = after < through ? await readEvent(sql, shard, after + 1) : null
  if (first === null) return { ranges: [], known: through }
  const folded = Math.min(through, await readUsageCheckpoint(sql, shard))
  const start = startOfQuarterHour(first.recordedAt)
  const older = GRAINS.map((grain) => {
    const length = sql`${`1 ${grain}`}::interval`
    return sql`
      union
      select u.quarter, ${length}
      from (${rowsBy(sql, scope, grain)}) u
      where u.shard = ${shard} and u.position = ${TIMELY}
        and u.quarter > ${start}::timestamptz - ${length}`
  }).reduce((a, b) => sql`${a} ${b}`)
  const rows = await sql<{ quarter: string; next: string }[]>`
    select u.quarter::text as quarter, (u.quarter + u.length)::text as next
    from (
      select u.quarter, interval '15 minutes' as length
      from (${timelyRows(sql, scope)}) u
      where u.shard = ${shard} and u.quarter >= ${start}::timestamptz
      ${older}
    ) u
    order by u.quarter, u.length
    limit ${MAX_QUARTER_HOURS}`
  // In the archive a position takes some milliseconds, so no more are read than one call scans.
  const found: Range[] = []
  for (let i = 0, events = 0; i < rows.length && events < MAX_SCANNED_EVENTS; i++) {
    const [start, end] = await Promise.all(
      [rows[i]!.quarter, rows[i]!.next].map((at) => readPositionAt(sql, shard, at)),
    )
    const range = { after: Math.max(after, start! - 1), through: Math.min(folded, end! - 1) }
    events += Math.max(range.through - range.after, 0)
    found.push(range)
  }
  // None of the others begins before the last of these, so what they add through its end is in it.
  const knownQuarters = found.length < rows.length ? found.at(-1)!.through : through
  const knownOf = (ranges: readonly Range[]) =>
    ranges.length === MAX_QUARTER_HOURS ? ranges.at(-1)!.through : through
  const backdated = await Promise.all(
    [null, ...GRAINS].map((grain) =>
      readBackdated(sql, scope, { shard, after, through: folded }, grain),
    ),
  )
  const known = Math.min(knownQuarters, ...[found, ...backdated].map(knownOf))
  found.push(...backdated.flat())
  if (known === through) found.push({ after: Math.max(after, folded), through })
  return { ranges: joinRanges(found, known), known }
}

/**
 * Returns the first acts in a range whose usage is backdated, and blocks of flushes with backdated
 * usage, as ranges; or (`grain`) the days or months in which such were recorded. Of one of these
 * kinds, so that no later range begins before the last of them ends.
 */
async function readBackdated(
  sql: Sql | Transaction,
  scope: Scope,
  { shard, after, through }: Stretch,
  grain: Grain | null,
): Promise<Range[]> {
  const source = grain === null ? backdatedRows(sql, scope) : rowsBy(sql, scope, grain)
  const rows = await sql<{ position: string }[]>`
    select distinct u.position
    from (${source}) u
    where u.shard = ${shard} and u.position > ${after}
      and ${grain === null ? sql`u.position <= ${endOfBlock(through)}` : sql`true`}
    order by u.position
    limit ${MAX_QUARTER_HOURS}`
  return Promise.all(
    rows.map(async ({ position: end }) => {
      const position = Number(end)
      // An act may be at the end of a block, too.
      const beforeBlocks = endsBlock(position) ? beforeBlock(position) : position - 1
      const before = grain ? await readBeforeUnit(sql, shard, position, grain) : beforeBlocks
      return { after: Math.max(after, before), through: Math.min(through, position) }
    }),
  )
}

/** Returns the end of the last block that was recorded before the day or month of a position. */
async function readBeforeUnit(
  sql: Sql | Transaction,
  shard: number,
  position: number,
  grain: Grain,
): Promise<number> {
  const recordedAt = await readRecordedAt(sql, shard, position)
  const start = grain === 'day' ? recordedAt!.slice(0, 10) : `${recordedAt!.slice(0, 7)}-01`
  return beforeBlock(await readPositionAt(sql, shard, `${start}T00:00:00Z`))
}

/** Sorts ranges and joins those that touch. Leaves out what is empty or beyond `end`. */
function joinRanges(ranges: readonly Range[], end: number): Range[] {
  const joined: Range[] = []
  for (const { after, through } of ranges.toSorted((a, b) => a.after - b.after)) {
    const last = joined.at(-1)
    const until = Math.min(through, end)
    if (until <= after) continue
    if (last !== undefined && last.through >= after) last.through = Math.max(last.through, until)
    else joined.push({ after, through: until })
  }
  return joined
}

async function readUsageCheckpoint(sql: Sql | Transaction, shard: number): Promise<number> {
  const [row] = await sql<{ position: string }[]>`
    select c.position
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
    where c.shard = ${shard} and c.projection = ${usage.name}`
  return Number(row!.position)
}

/** Returns no sums for an event that can't be folded: the projections have parked it. */
async function countOf(
  row: Candidate & { shard: number },
  scope: Scope,
  readLarge: ReadLarge | null,
): Promise<Counted> {
  const { shard, position, payloadSha256, recordedAt, payload } = row
  const count = ({ postings }: Content) => contributionOf(postings, scope)
  try {
    if (payload !== null) {
      return count(contentOf(decodeEvent(row.type, row.version, payload), recordedAt))
    }
    let counted: Counted = []
    const place = { shard, position, recordedAt, payloadSha256 }
    for await (const part of readLarge!(place)) counted = plus(count(part), counted)
    return counted
  } catch (error) {
    if (error instanceof PayloadError) return []
    throw error
  }
}
