import type { Usage } from '../../read-model/queries/usage.ts'
import type { DividedUsage } from '../../read-model/queries/usage-by.ts'

type Item = { from: string; to: string } & Record<string, unknown> & {
    dimensions?: Record<string, string | null>
    measures?: Record<string, unknown>
  }

/**
 * Formats usage as CSV (RFC 4180): a header and one line per item, with a column for each dimension
 * and each measure. A value that is null is empty.
 */
export function toCsv(
  { items, total: { measures = {}, ...total } }: Usage | DividedUsage,
  dimensions: readonly string[],
  hasBuckets = true,
): string {
  const measured = Object.keys(measures)
  const header = [...(hasBuckets ? ['from', 'to'] : []), ...dimensions]
  const lines = (items as Item[]).map((item) =>
    [
      ...(hasBuckets ? [item.from, item.to] : []),
      ...dimensions.map((name) => item.dimensions?.[name] ?? ''),
      ...Object.keys(total).map((column) => item[column]),
      ...measured.map((name) => item.measures?.[name] ?? 0),
    ]
      .map((value) => quote(String(value)))
      .join(','),
  )
  return [[...header, ...Object.keys(total), ...measured].join(','), ...lines, ''].join('\r\n')
}

const quote = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
