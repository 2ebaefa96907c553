import { readFile, writeFile } from 'node:fs/promises'
import { round } from './measure.ts'
import type { Conditions } from './results.ts'

/** Replaces the texts between `<!-- name -->` and `<!-- end of name -->` in a document. */
export async function writeBlocks(path: string, blocks: Record<string, string>): Promise<void> {
  let text = await readFile(path, 'utf8')
  for (const [name, block] of Object.entries(blocks)) {
    const [begin, end] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->`]
    const from = text.indexOf(begin)
    const to = text.indexOf(end)
    if (from < 0 || to < from) throw new Error(`${path} has no markers for ${name}`)
    text = `${text.slice(0, from)}${begin}\n${block}\n\n${text.slice(to)}`
  }
  await writeFile(path, text)
}

/** Appends where and when a table was measured. */
export const under = ({ date, machine, bun, load, database }: Conditions, text: string) =>
  [
    text,
    '',
    `Measured ${date} on ${machine}; Bun ${bun}; load from ${load}; PostgreSQL ` +
      `${Object.entries(database)
        .map(([name, value]) => (name === 'server_version' ? value : `${name} = ${value}`))
        .join(', ')}.`,
  ].join('\n')

/** Renders a Markdown table: first column left, others right. Cells must have no newline or `|`. */
export const table = (head: string[], rows: string[][]) =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')

/** Formats a number with three significant digits. */
export const number = (value: number) => String(round(value))

/** The same, with commas between thousands. */
export const thousands = (value: number) => round(value).toLocaleString('en')
