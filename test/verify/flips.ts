import { LOG_FLIPS } from './flips-log.ts'
import { PROJECTION_FLIPS } from './flips-projections.ts'
import { OTHER_FLIPS, STANDING_FLIPS } from './flips-rest.ts'
import type { Flip } from './ways.ts'

/** Every column of every table, each with a change or more. */
export const FLIPS: readonly Flip[] = [
  ...LOG_FLIPS,
  ...STANDING_FLIPS,
  ...PROJECTION_FLIPS,
  ...OTHER_FLIPS,
]

/** The table of docs/verify.md. */
export function renderFlips(): string {
  const rows = FLIPS.map(({ table, column, change, foundBy }) => {
    const found =
      foundBy === null ? 'nothing' : foundBy === 'refused' ? 'refused' : `check *${foundBy}*`
    return `| ${table} | ${column} | ${change} | ${found} |`
  })
  return ['| table | column | change | found by |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
