import type { Comparison } from '../move-in/compare/compare.ts'
import type { Behind, Flush } from '../move-in/compare/flushes.ts'
import type { Line } from '../move-in/compare/judge.ts'
import { toPlain } from './audit-output.ts'
import { formatTable } from './table.ts'

/** A line with the events behind it. */
export type Explained = { line: Line; behind: Behind }

/** Lines of the table; there may be more. */
const MAX_LINES = 100

/** Formats a comparison for people. */
export function formatComparison(
  comparison: Comparison,
  explained: readonly Explained[],
): string[] {
  const { system, batches, attempts, amounts, lines, notes } = comparison
  const { opening, position } = batches[0]!
  const counts = countVerdicts(lines)
  const table = formatTable(
    ['account', 'amount', 'moved', 'old system', 'service', 'difference', ''],
    lines
      .slice(0, MAX_LINES)
      .map((line) => [
        ...[shorten(line.account), line.field, line.moved ?? '-', line.old, line.now],
        ...[line.old - line.now, line.verdict],
      ]),
  )
  return [
    `${system.name} was moved as of ${opening.as_of}, at 0/${position}.`,
    ...(lines.length === 0 ? [] : table),
    ...(lines.length > MAX_LINES ? [`and ${lines.length - MAX_LINES} more: use --json`] : []),
    ...explained.flatMap(formatBehind),
    ...notes.map(toPlain),
    `${amounts - lines.length} of ${amounts} amounts are equal, ${counts.different} different, ` +
      `${counts.moving} moving (${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}).`,
  ]
}

/** Hashes are long; the kind and the first characters are enough for people. */
const shorten = (account: string) => (account.length > 40 ? `${account.slice(0, 39)}…` : account)

function formatBehind({ line, behind }: Explained): string[] {
  const { flushes, total, earlier, path } = behind
  if (path === '') return []
  const shown = flushes.map(formatFlush)
  const counted = total === null ? 'More than 5,000 events' : `${total} events`
  const before =
    earlier === null || earlier === 0n ? [] : [`  ${earlier} were counted before the move.`]
  return [
    '',
    `${shorten(line.account)} ${line.field}: ${counted} since the move, ${flushes.length} shown`,
    ...before,
    ...shown.map((text) => `  ${toPlain(text)}`),
    ...(total === flushes.length ? [] : [`  all: GET ${toPlain(path)}`]),
  ]
}

function formatFlush(flush: Flush): string {
  const { position, recordedAt, source, type, idempotencyKey, counted, isSuspect } = flush
  const sign = counted > 0n ? '+' : ''
  const suspect = isSuspect ? '  <- the difference' : ''
  const key = idempotencyKey ?? 'no idempotency key'
  return `${position}  ${recordedAt}  ${source} ${type}  ${key}  ${sign}${counted}${suspect}`
}

function countVerdicts(lines: readonly Line[]) {
  const different = lines.filter(({ verdict }) => verdict === 'different').length
  return { different, moving: lines.length - different }
}

/** Makes the JSON of a comparison; bigints become numbers with all their digits. */
export function toComparisonJson(
  { system, batches, attempts, amounts, lines, notes }: Comparison,
  explained: readonly Explained[],
  tolerance: bigint,
): object {
  const behind = new Map(explained.map((item) => [item.line, item.behind]))
  const { opening, position, snapshot } = batches[0]!
  return {
    ...{ system: system.name, as_of: opening.as_of, position: `0/${position}`, snapshot },
    ...{ tolerance, attempts, amounts, equal: amounts - lines.length, ...countVerdicts(lines) },
    differences: lines.map((line) => ({
      ...{ account: line.account, amount: line.field, verdict: line.verdict, moved: line.moved },
      ...{ old: line.old, service: line.now, difference: line.old - line.now },
      ...toBehindJson(behind.get(line)),
    })),
    notes,
  }
}

function toBehindJson(behind: Behind | undefined): object {
  if (behind === undefined) return {}
  const { flushes, total, earlier, path } = behind
  return {
    ...{ counted_before: earlier, events: total, path },
    flushes: flushes.map((flush) => ({
      ...{ position: flush.position, type: flush.type, recorded_at: flush.recordedAt },
      ...{ source: flush.source, idempotency_key: flush.idempotencyKey, counted: flush.counted },
      is_suspect: flush.isSuspect,
    })),
  }
}
