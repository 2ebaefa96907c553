import { readFile, writeFile } from 'node:fs/promises'
import type { Conditions } from './results.ts'

/** Puts texts between their markers in a document: `<!-- name -->` and `<!-- end of name -->`. */
export async function writeBlocks(path: string, blocks: Record<string, string>): Promise<void> {
  let text = await readFile(path, 'utf8')
  for (const [name, block] of Object.entries(blocks)) {
    const [begin, end] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->`]
    const from = text.indexOf(begin)
    const to = text.indexOf(end)
    if (from < 0 || to < from) throw new Error(`${path} has no place for ${name}`)
    text = `${text.slice(0, from)}${begin}\n${block}\n\n${text.slice(to)}`
  }
  await writeFile(path, text)
}

/** A table or text, and where and when it was measured. */
export const under = ({ date, machine, bun, load, database }: Conditions, text: string) =>
  [
    text,
    '',
    `Measured ${date} on ${machine}; Bun ${bun}; load from ${load}; PostgreSQL ` +
      `${Object.entries(database)
        .map(([name, value]) => (name === 'server_version' ? value : `${name} = ${value}`))
        .join(', ')}.`,
  ].join('\n')

/** The first column to the left, numbers to the right; a cell has no line break and no bar. */
export const table = (head: string[], rows: string[][]) =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
