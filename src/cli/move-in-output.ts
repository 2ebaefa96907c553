import type { Finding } from '../move-in/findings.ts'
import type { GroupLine, KeyLine, TrialBalance } from '../move-in/trial-balance.ts'
import type { Sum } from '../move-in/verify.ts'
import { toPlain } from './audit-output.ts'
import { formatTable } from './table.ts'

/** Formats a trial balance as two tables: provider groups with their API keys, and token keys. */
export function formatBalance(balance: TrialBalance): string[] {
  return [
    ...formatTable(
      ['provider group', 'requests', 'successes', 'API keys', 'their requests', 'successes'],
      [...balance.groups, balance.groupTotal].map(toGroupCells),
    ),
    '',
    ...formatTable(
      ['token keys', 'keys', 'unlimited', 'requests', 'tokens', 'used', 'limits', 'remaining'],
      [...balance.keys, balance.keyTotal].map(toKeyCells),
    ),
  ]
}

const toGroupCells = (line: GroupLine) => [
  line.name === null || line.name === line.group ? line.group : `${line.group} ${line.name}`,
  ...[line.ownRequests, line.ownSuccesses, line.keys, line.requests, line.successes],
]

const toKeyCells = (line: KeyLine) => [
  ...[line.group, line.keys, line.unlimited, line.requests],
  ...[line.tokens, line.used, line.limits, line.remaining],
]

/** How many findings of one kind are printed. */
const MAX_FINDINGS = 10

/** Formats findings, at most ten of each kind. */
export function listFindings(findings: readonly Finding[]): string[] {
  const kinds = Map.groupBy(findings, ({ kind }) => kind)
  return [...kinds].flatMap(([kind, found]) => [
    `Cannot be moved as it is: ${kind} (${found.length})`,
    ...found.slice(0, MAX_FINDINGS).map(({ at, message }) => toPlain(`  ${at}: ${message}`)),
    ...(found.length > MAX_FINDINGS ? [`  and ${found.length - MAX_FINDINGS} more`] : []),
  ])
}

const MAX_DIFFERENCES = 20

/** Formats what was read back, and each row that differs, 20 at most. */
export function formatVerification(sums: readonly Sum[], differences: readonly string[]): string[] {
  return [
    ...formatTable(
      ['read back', 'old system', 'opened', 'service now', 'other'],
      sums.map(({ name, old, opened, now }) => [name, old, opened, now, now - opened]),
    ),
    ...differences.slice(0, MAX_DIFFERENCES).map(toPlain),
    differences.length === 0
      ? 'Every row was opened with what the old system has.'
      : `${differences.length} rows differ.`,
  ]
}
