import type { Usage } from '../../read-model/queries/usage.ts'

/** Formats usage as CSV (RFC 4180): a header and one line per bucket. No value needs quotes. */
export function toCsv({ items, total }: Usage): string {
  const columns = ['from', 'to', ...Object.keys(total)]
  const lines = items.map((item) =>
    columns.map((column) => String(item[column as keyof typeof item])).join(','),
  )
  return [columns.join(','), ...lines, ''].join('\r\n')
}
