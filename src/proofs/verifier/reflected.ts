import { formatPositions } from '../../events/positions.ts'
import type { OnFinding } from './finding.ts'

/**
 * False where a page is not of these shards, and so none of this log. One from before what was
 * signed when it was asked for is a finding too, and can be compared nevertheless.
 */
export function checkReflected(
  at: string,
  positions: readonly number[],
  /** The last position of each shard that was signed before any page was asked for. */
  signed: readonly number[],
  report: OnFinding,
): boolean {
  const find = (message: string) => report({ kind: 'total', at, message })
  if (positions.length !== signed.length) {
    find(`its Tallybook-Position is not of ${signed.length} shards`)
    return false
  }
  if (positions.some((position, shard) => position < signed[shard]!)) {
    find(
      `it is of ${formatPositions(positions)}, ` +
        `and ${formatPositions(signed)} was signed before it was asked for`,
    )
  }
  return true
}
