import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatSigningKey, makeSigningKey } from '../../../src/proofs/merkle/key.ts'
import {
  findOrigin,
  openOrigin,
  readOrigin,
  readPrevious,
  readSigner,
  rotateKey,
  startOrigin,
} from '../../../src/proofs/transparency/origin.ts'

// Signing keys in a file that instances with data directories of their own share.

const NAME = 'stats.example.com'

let folder: string
let keysFile: string
const dataDir = (name: string) => join(folder, name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tallybook-keys-'))
  keysFile = join(folder, 'keys')
  await write(NAME)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const write = (...names: string[]) =>
  writeFile(
    keysFile,
    names.map((name) => `${formatSigningKey(makeSigningKey(name))}\n`),
  )

test('data directories with one file sign with the same keys, under the name in it', async () => {
  expect(await readSigner(dataDir('a'), keysFile)).toMatchObject({ name: NAME })
  const a = await openOrigin(dataDir('a'), null, keysFile)
  const b = await openOrigin(dataDir('b'), NAME, keysFile)
  expect([a.made, b.made]).toEqual([true, true])
  expect(a.origin).toMatchObject({ name: NAME, keysFile })
  expect(b.origin.keys).toEqual(a.origin.keys)
  expect(b.origin.folder).toStartWith(dataDir('b'))
  expect((await openOrigin(dataDir('a'), null, keysFile)).made).toBe(false)
  // Without the file there is nothing to sign with.
  expect(await openOrigin(dataDir('a'), null).catch(String)).toContain("can't be read")
})

test('keys are added to the file, and a file that cannot be written is reported', async () => {
  const { origin } = await openOrigin(dataDir('a'), null, keysFile)
  await rotateKey(origin)
  const rotated = await readOrigin(dataDir('b'), keysFile)
  expect(rotated.keys.slice(1)).toEqual(origin.keys)
  expect(rotated.keys).toHaveLength(2)
  // In a folder that can't be written to, whoever runs this: there is a file in its place.
  const unwritable = { ...origin, keysFile: join(keysFile, 'keys') }
  expect(await rotateKey(unwritable).catch(String)).toContain("can't be written")
})

test.each([
  ['no file', async () => rm(keysFile), "can't be read"],
  ['an empty file', async () => writeFile(keysFile, '\n'), 'something other than signing keys'],
  ['a key and other text', async () => writeFile(keysFile, 'x'), 'something other than signing'],
  ['keys of two names', async () => write(NAME, 'else.example.com'), 'of one name'],
])('%s is refused, and makes no origin', async (_, prepare, message) => {
  await prepare()
  expect(await openOrigin(dataDir('a'), null, keysFile).catch(String)).toContain(message)
  await expect(findOrigin(dataDir('a'))).rejects.toThrow('no transparency log key')
})

test('keys of another name are refused until the origin is ended', async () => {
  const { origin } = await openOrigin(dataDir('a'), null)
  const refused = await openOrigin(dataDir('a'), null, keysFile).catch(String)
  expect(refused).toContain(`has been signed as ${origin.name}`)
  expect(refused).toContain(`new-origin ${NAME}`)
  const elsewhere = startOrigin(dataDir('a'), 'else.example.com', new Map(), keysFile)
  expect(await elsewhere.catch(String)).toContain('no keys of else.example.com')
  await startOrigin(dataDir('a'), NAME, new Map([[0, 'a head']]), keysFile)
  const started = await openOrigin(dataDir('a'), null, keysFile)
  expect(started.origin.name).toBe(NAME)
  expect(await readPrevious(started.origin, 0)).toBe('a head')
  expect(await readFile(keysFile, 'utf8')).toContain(NAME)
  const again = startOrigin(dataDir('a'), NAME, new Map(), keysFile)
  expect(await again.catch(String)).toContain('already was an origin')
})
