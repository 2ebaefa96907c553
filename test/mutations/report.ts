import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Result } from './campaign.ts'
import { ROOT } from './tree.ts'

const DOCUMENT = join(ROOT, 'docs/measurements/mutations.md')
const BEGIN = '<!-- table: written by `bun run mutations` -->'
const END = '<!-- end of the table -->'

/** Returns how many of the mutations no test has caught. */
export const countMissed = (results: readonly Result[]) =>
  results.filter(({ caughtBy }) => caughtBy === null).length

/** Replaces the table of docs/measurements/mutations.md by the results. */
export async function writeDocument(results: readonly Result[]): Promise<void> {
  const text = await readFile(DOCUMENT, 'utf8')
  const [before, after] = [text.split(BEGIN)[0]!, text.split(END)[1]!]
  await writeFile(DOCUMENT, `${before}${BEGIN}\n\n${formatTable(results)}\n${END}${after}`)
}

/** Formats the results as a sentence and a table, in Markdown. */
export function formatTable(results: readonly Result[]): string {
  const caught = results.length - countMissed(results)
  const rows = results.map(({ mutation: { name, file, harm }, caughtBy, seconds }) => {
    const test = caughtBy === null ? '**none**' : escapeCell(caughtBy.test)
    return `| ${name} | \`${file}\` | ${escapeCell(harm)} | ${test} | ${seconds} |`
  })
  return [
    `${caught} of ${results.length} are caught.`,
    '',
    '| mutation | file | what a user would suffer | caught by | s |',
    '|---|---|---|---|---:|',
    ...rows,
    '',
  ].join('\n')
}

const escapeCell = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
