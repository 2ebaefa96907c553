/** `--write` generates the documents in docs/reference; `--check` fails if one is out of date. */
import { readFile, writeFile } from 'node:fs/promises'
import { makePages } from './reference/pages.ts'

async function main(mode: string | undefined): Promise<void> {
  const pages = await makePages()
  if (mode === '--write') {
    await Promise.all(pages.map(({ path, text }) => writeFile(path, text)))
    return
  }
  const stale = []
  for (const { path, text } of pages) {
    if (text !== (await readFile(path, 'utf8').catch(() => ''))) stale.push(path)
  }
  if (stale.length === 0) return
  throw new Error(`${stale.join(', ')}: out of date. Run \`bun run reference\`.`)
}

main(process.argv[2]).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
