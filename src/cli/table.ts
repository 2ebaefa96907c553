import { toPlain } from './audit-output.ts'

/** Formats rows below a header, in columns. The first is aligned left, all others right. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly (string | number | bigint)[])[],
): string[] {
  const cells = [header, ...rows].map((row) => row.map((cell) => toPlain(String(cell))))
  const widths = header.map((_, i) => Math.max(...cells.map((row) => Bun.stringWidth(row[i]!))))
  return cells.map((row) =>
    row
      .map((cell, i) => {
        const space = ' '.repeat(widths[i]! - Bun.stringWidth(cell))
        return i === 0 ? cell + space : space + cell
      })
      .join('  ')
      .trimEnd(),
  )
}
