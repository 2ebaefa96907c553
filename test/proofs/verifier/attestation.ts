import {
  ATTESTED_TABLES,
  type AttestedColumns,
  type AttestedTable,
  DECLARED,
} from '../../../src/events/digest.ts'
import type { Attestation } from '../../../src/events/statement.ts'
import type { ShardFold } from '../../../src/proofs/verifier/index.ts'

/** Returns the attestation that an honest service would append to a shard that folds to this. */
export function attestationOf(fold: ShardFold, shard: number): Attestation {
  const { position } = fold
  const { dimensions, measures } = fold.catalog
  const version = dimensions.size + measures.size === 0 ? DECLARED - 1 : DECLARED
  const tables = Object.entries<AttestedColumns>(ATTESTED_TABLES)
    .filter(([, { kind }]) => shard === 0 || kind !== 'catalog')
    .filter(([, { since = 1 }]) => since <= version)
    .map(([table]) => ({ table, position, ...fold.digest(table as AttestedTable) }))
  const { requests, successes } = fold.totals()
  return {
    tables,
    totals: { position, requests: String(requests), successes: String(successes) },
  }
}
