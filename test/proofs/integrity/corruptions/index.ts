import { ARCHIVED_CORRUPTIONS } from './archived.ts'
import type { Corruption } from './corruption.ts'
import { LOG_CORRUPTIONS } from './log.ts'
import { PROJECTION_CORRUPTIONS } from './projections.ts'
import { OTHER_CORRUPTIONS, PROGRESS_CORRUPTIONS } from './rest.ts'
import { PACKED_KEY_CORRUPTIONS, SEGMENT_CORRUPTIONS } from './segments.ts'

/** The changes of every column of every table but `archived_segments`. */
export const CORRUPTIONS: readonly Corruption[] = [
  ...LOG_CORRUPTIONS,
  ...SEGMENT_CORRUPTIONS,
  ...PACKED_KEY_CORRUPTIONS,
  ...PROGRESS_CORRUPTIONS,
  ...PROJECTION_CORRUPTIONS,
  ...OTHER_CORRUPTIONS,
]

/** These, and those that need an archive. */
export const ALL_CORRUPTIONS: readonly Corruption[] = [...CORRUPTIONS, ...ARCHIVED_CORRUPTIONS]

/** Renders the table of docs/reference/integrity-checks.md. */
export function renderCorruptions(): string {
  const rows = ALL_CORRUPTIONS.map(({ table, column, change, foundBy }) => {
    const found =
      foundBy === null ? 'nothing' : foundBy === 'refused' ? 'refused' : `check *${foundBy}*`
    return `| ${table} | ${column} | ${change} | ${found} |`
  })
  return ['| table | column | change | found by |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
