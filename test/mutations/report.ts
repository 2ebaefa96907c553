import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Result } from './campaign.ts'
import { MUTATIONS } from './list.ts'
import { ROOT } from './tree.ts'

const DOCUMENT = join(ROOT, 'docs/measurements/mutations.md')
const BEGIN = '<!-- table: written by `bun run mutations` -->'
const END = '<!-- end of the table -->'
const NOT_CAUGHT = '**none**'

/** Returns how many of the mutations no test has caught. */
export const countMissed = (results: readonly Result[]) =>
  results.filter(({ caughtBy }) => caughtBy === null).length

/** Puts results into the table of docs/measurements/mutations.md, and leaves its other rows. */
export async function writeDocument(results: readonly Result[]): Promise<void> {
  const text = await readFile(DOCUMENT, 'utf8')
  const [before, rest] = text.split(BEGIN) as [string, string]
  const [table, after] = rest.split(END) as [string, string]
  await writeFile(DOCUMENT, `${before}${BEGIN}\n\n${mergeTable(table, results)}\n${END}${after}`)
}

/** Returns the table, in Markdown, with the results in it, and without what is not in the list. */
export function mergeTable(table: string, results: readonly Result[]): string {
  const rows = new Map<string, string>()
  for (const row of table.split('\n').filter((line) => line.startsWith('| '))) {
    rows.set(row.split(' ')[1]!, row)
  }
  for (const result of results) rows.set(result.mutation.name, formatRow(result))
  const listed = MUTATIONS.flatMap(({ name }) => rows.get(name) ?? [])
  const caught = listed.filter((row) => !row.includes(NOT_CAUGHT))
  return [
    `${caught.length} of ${listed.length} are caught.`,
    '',
    '| mutation | file | what a user would suffer | caught by | s |',
    '|---|---|---|---|---:|',
    ...listed,
    '',
  ].join('\n')
}

function formatRow({ mutation: { name, file, harm }, caughtBy, seconds }: Result): string {
  const test = caughtBy === null ? NOT_CAUGHT : escapeCell(caughtBy.test)
  return `| ${name} | \`${file}\` | ${escapeCell(harm)} | ${test} | ${seconds} |`
}

const escapeCell = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
