import { formatPositions, type Positions } from '../../events/positions.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { rateTotals } from '../../read-model/queries/summary.ts'
import { jsonResponse } from '../json.ts'
import { Problem } from '../problem.ts'
import type { AsOf } from './consistent-read.ts'

/** What the newest attestations say of all shards together, and where they stand. */
export type AttestedTotals = {
  requests: bigint
  successes: bigint
  /** As of when the totals are. */
  positions: Positions
  attestations: { shard: number; position: number }[]
}

/** The summary as it was attested last; the problem 404 where it never was. */
export async function answerAttested(sql: Sql, asOf: AsOf, totals: AttestedTotals | null) {
  if (Object.values(asOf).some((value) => value !== undefined)) {
    throw new Problem(400, 'invalid query', 'An attestation is as of its own position.')
  }
  if (totals === null) {
    throw new Problem(404, 'not found', 'Nothing has been attested yet: POST /admin/attestations.')
  }
  const summary = await rateTotals(sql, totals.requests, totals.successes)
  return jsonResponse(
    { ...summary, attestations: totals.attestations },
    { 'tallybook-position': formatPositions(totals.positions) },
  )
}
