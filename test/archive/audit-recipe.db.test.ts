import { expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { makeFolder, writeTestArchive } from '../support/archive.ts'
import { insertEvent, insertFlushes } from '../support/events.ts'
import { createDatabase } from '../support/server.ts'

const python = Bun.which('python3')
const document = readFileSync(join(import.meta.dir, '../../docs/reference/log-format.md'), 'utf8')
const recipe = /```python\n(import gzip[\s\S]*?)```/.exec(document)?.[1] ?? ''

async function runRecipe(directory: string) {
  const run = Bun.spawn([python!, '-c', recipe], {
    cwd: directory,
    stdout: 'pipe',
    stderr: 'pipe',
  })
  return { code: await run.exited, stderr: await run.stderr.text() }
}

test.skipIf(python === null)(
  'the recipe of docs/reference/log-format.md accepts an archive and refuses a changed one',
  async () => {
    expect(recipe.split('\n').length).toBeGreaterThan(10)
    const folder = await makeFolder()
    const database = await createDatabase()
    await insertFlushes(database.owner, 50)
    await insertEvent(database.owner, { payload: '{\n"a": "ü"}\r\n' })
    const archive = join(folder.path, 'archive')
    await writeTestArchive(database, archive, { part: { events: 20, characters: 1_000_000 } })
    await database.drop()
    expect(await runRecipe(archive)).toEqual({ code: 0, stderr: '' })

    const part = join(archive, 'shard-0/part-00002.ndjson.gz')
    const bytes = readFileSync(part)
    writeFileSync(part, bytes.with(9, 0))
    expect((await runRecipe(archive)).stderr).toContain('AssertionError: shard-0/part-00002')
    // The file's hash is updated too, so only the hashes of the events show the change.
    const hashed = readFileSync(join(archive, 'manifest.json'), 'utf8')
    const text = gunzipSync(bytes).toString()
    for (const [from, to] of [
      ['"source":"owner"', '"source":"nobody"'],
      ['"payload":{', '"payload":{ '],
      ['"payload_text":"{', '"payload_text":" {'],
    ] as const) {
      const changed = gzipSync(text.replace(from, to))
      writeFileSync(part, changed)
      const sha256 = (data: Buffer) => new Bun.CryptoHasher('sha256').update(data).digest('hex')
      writeFileSync(join(archive, 'manifest.json'), hashed.replace(sha256(bytes), sha256(changed)))
      expect((await runRecipe(archive)).stderr).toContain('AssertionError: b')
    }
    await folder.remove()
  },
)
