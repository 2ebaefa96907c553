import { expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toEventLine } from '../../src/events/event-line.ts'
import { MARKS, type SlotKind, splitPayload } from '../../src/segment-files/blocks/template.ts'
import { parseIndex } from '../../src/segment-files/index-format.ts'
import { putSegment } from '../../src/segment-files/put.ts'
import { openDirectory } from '../../src/segment-files/stores/directory.ts'
import { inPages, makeEvent, makeFlushes } from './events.ts'
import { planOf, useFolder } from './folder.ts'
import { joinParts, takeApart, withHeader, withIndex } from './forge.ts'

// The recipe of docs/reference/segment-files.md reads a segment, and refuses one that was changed.

const folder = useFolder()
const python = Bun.which('python3')
const canRun = python !== null && Bun.which('zstd') !== null
if (!canRun) console.log('skipped: a segment without Tallybook (there is no Python 3 or no zstd)')

const document = join(import.meta.dir, '../../docs/reference/segment-files.md')
const text = readFileSync(document, 'utf8')
const recipe = /```python\n([\s\S]*?)```/.exec(text)?.[1] ?? ''

/** Runs the recipe on a file. */
async function runRecipe(bytes: Uint8Array) {
  const path = join(folder.path, 'file')
  writeFileSync(path, bytes)
  const run = Bun.spawn([python!, '-c', recipe, path], { stdout: 'pipe', stderr: 'pipe' })
  const [stdout, stderr] = await Promise.all([run.stdout.text(), run.stderr.text()])
  return { code: await run.exited, stdout, stderr }
}

const LATER = { recordedAt: '2026-01-31T13:00:00.000001+00:00' }
const LOG = [
  ...makeFlushes(60, { keys: 7 }),
  ...makeFlushes(60, { keys: 7, counted: true, first: 60 }).map((event) => ({
    ...event,
    ...LATER,
  })),
  ...[
    ...['{"hashes":["a","ü","a"],"requests":[1,2,3]}', '{\n"a": "ü\\u0001 "}\r\n', '{"a":[0,""]}'],
    ...['{"s":"p-1/22;last","é":[1,2],"x":[5]}', `{"${'n'.repeat(65)}":[3,4],"b":[-1]}`],
    ...['{"measures":{"input_tokens":[0,11,"lgAc",2,2,"IA=="]}}', '[1,9007199254740993]'],
  ].map((payload, i) => makeEvent(payload, { position: 120 + i, ...LATER, source: 'p "é" 😀' })),
]
const FIRST = 37

test.skipIf(!canRun)('the recipe prints every line of a segment, and no changed one', async () => {
  const store = openDirectory(folder.path)
  const plan = planOf(LOG, FIRST)
  expect((await putSegment(store, 'segment', plan, inPages(LOG.slice(FIRST)))).kind).toBe('stored')
  const file = readFileSync(join(folder.path, 'segment'))
  const lines = LOG.slice(FIRST).map((event) => `${toEventLine(event, { leafHash: true })}\n`)
  expect(await runRecipe(file)).toEqual({ code: 0, stdout: lines.join(''), stderr: '' })

  const flipped = Buffer.from(file)
  flipped[100]! ^= 1
  expect((await runRecipe(flipped)).stderr).toContain('AssertionError')
  const parts = takeApart(file)
  parts.blocks[0] = withHeader(parts.blocks[0]!, (header) => {
    Object.assign(header, { time: (header.time as number) + 1 })
  })
  expect((await runRecipe(joinParts(parts))).stderr).toContain('AssertionError: root')
  const shorter = withIndex(file, (index) => ({ ...index, blocks: index.blocks.slice(0, -1) }))
  expect((await runRecipe(shorter)).stderr).toContain('AssertionError: root')
})

test('the examples of the document are what is written', () => {
  const [, example] = /```json\n(.*)\n```/.exec(text) ?? []
  expect(parseIndex(Buffer.from(example!), 20 + 571)).toEqual(JSON.parse(example!))
  const mark = (kind: SlotKind) => JSON.stringify(MARKS[kind]).slice(1, -1)
  const template = `{"ids":${mark('list')},"n":${mark('number')}}`
  expect(text).toContain(`\`{"ids":[1,20],"n":7}\` is the template \`${template}\``)
  expect(JSON.stringify(splitPayload('{"ids":[1,20],"n":7}')!.template)).toBe(
    JSON.stringify(`{"ids":${MARKS.list},"n":${MARKS.number}}`),
  )
})
