import { formatPositions, type Positions } from '../../events/positions.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { rateTotals } from '../../read-model/queries/summary.ts'
import { jsonResponse } from '../json.ts'
import { Problem } from '../problem.ts'
import type { AsOf } from './consistent-read.ts'

/** The totals of the newest attestations, summed over all shards, and their positions. */
export type AttestedTotals = {
  requests: bigint
  successes: bigint
  /** The positions that the totals reflect. */
  positions: Positions
  attestations: { shard: number; position: number }[]
}

/** Answers with the newest attested summary. Throws problem 404 if nothing was attested yet. */
export async function answerAttested(sql: Sql, asOf: AsOf, totals: AttestedTotals | null) {
  if (Object.values(asOf).some((value) => value !== undefined)) {
    throw new Problem(400, 'invalid query', ATTESTED_ALONE)
  }
  if (totals === null) {
    throw new Problem(404, 'not found', NONE_ATTESTED)
  }
  const summary = await rateTotals(sql, totals.requests, totals.successes)
  return jsonResponse(
    { ...summary, attestations: totals.attestations },
    { 'tallybook-position': formatPositions(totals.positions) },
  )
}

const ATTESTED_ALONE =
  '`attested` cannot be combined with `as_of`, `as_of_position` or `consistency`.'
const NONE_ATTESTED = 'Nothing has been attested yet. Create one with POST /admin/attestations.'
