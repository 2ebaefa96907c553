import { formatPositions } from '../../events/positions.ts'
import type { OnFinding } from './finding.ts'

/**
 * Checks the position of a page. Returns false if it has other shards, so that it can't be
 * compared. A page older than what was signed before the request is also reported, but can be
 * compared.
 */
export function checkReflected(
  at: string,
  positions: readonly number[],
  /** The last signed position of each shard before any page was requested. */
  signed: readonly number[],
  report: OnFinding,
): boolean {
  const find = (message: string) => report({ kind: 'total', at, message })
  if (positions.length !== signed.length) {
    find(`Tallybook-Position does not name ${signed.length} shards`)
    return false
  }
  if (positions.some((position, shard) => position < signed[shard]!)) {
    find(
      `it reflects ${formatPositions(positions)}, ` +
        `but ${formatPositions(signed)} was signed before the request`,
    )
  }
  return true
}
