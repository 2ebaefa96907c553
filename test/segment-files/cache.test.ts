import { expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BlockCache } from '../../src/segment-files/cache.ts'
import { canMount, mountDisk, unmountDisk } from '../support/disk.ts'
import { until } from '../support/until.ts'
import { useFolder } from './folder.ts'

// The cache returns what was put into it, or nothing, and stays within its bound.

const folder = useFolder()
let number = 0
const newFolder = () => join(folder.path, String(number++))

/** Bytes that differ from others, and their SHA-256. */
function makeBlock(length = 1_000) {
  const bytes = Buffer.alloc(length, `${number++} `)
  return { bytes, sha256: hash('sha256', bytes, 'hex') }
}

/** The files of a cache, with their lengths. */
async function filesOf(path: string) {
  const names = await readdir(path, { recursive: true })
  const found = await Promise.all(names.map((name) => stat(join(path, name))))
  return names.flatMap((name, i) => (found[i]!.isFile() ? [{ name, bytes: found[i]!.size }] : []))
}

const bytesOf = async (path: string) =>
  (await filesOf(path)).reduce((sum, { bytes }) => sum + bytes, 0)

test('what was put is returned, also to another process', async () => {
  const path = newFolder()
  const { bytes, sha256 } = makeBlock()
  const cache = new BlockCache(path)
  expect(await cache.get(sha256)).toBeNull()
  await cache.put(sha256, bytes)
  await cache.put(sha256, bytes)
  expect(await cache.get(sha256)).toEqual(bytes)
  expect(await new BlockCache(path).get(sha256)).toEqual(bytes)
  expect(await filesOf(path)).toHaveLength(1)
})

test.each([
  ['other bytes', (bytes: Buffer) => bytes.fill(0, 0, 1)],
  ['fewer bytes', (bytes: Buffer) => bytes.subarray(1)],
  ['no bytes, as after a power cut', () => Buffer.alloc(0)],
])('a file with %s is not returned, and replaced by the next put', async (_, damage) => {
  const path = newFolder()
  const { bytes, sha256 } = makeBlock()
  const cache = new BlockCache(path)
  await cache.put(sha256, bytes)
  const [file] = await filesOf(path)
  await writeFile(join(path, file!.name), damage(Buffer.from(bytes)))
  expect(await cache.get(sha256)).toBeNull()
  expect(await filesOf(path)).toEqual([])
  await cache.put(sha256, bytes)
  expect(await cache.get(sha256)).toEqual(bytes)
})

test('it never takes more than its bound, and keeps what was used last', async () => {
  const path = newFolder()
  const cache = new BlockCache(path, 64_000)
  const blocks = Array.from({ length: 200 }, () => makeBlock())
  for (const { sha256, bytes } of blocks) {
    await cache.put(sha256, bytes)
    expect(await bytesOf(path)).toBeLessThanOrEqual(64_000)
  }
  expect(await cache.get(blocks.at(-1)!.sha256)).toEqual(blocks.at(-1)!.bytes)
  expect(await cache.get(blocks[0]!.sha256)).toBeNull()
  expect(await bytesOf(path)).toBeGreaterThan(50_000)
})

test('what is read is kept longer than what is not', async () => {
  const path = newFolder()
  const cache = new BlockCache(path, 64_000)
  const blocks = Array.from({ length: 60 }, () => makeBlock())
  for (const { sha256, bytes } of blocks) await cache.put(sha256, bytes)
  const hourAgo = Date.now() / 1_000 - 3_600
  for (const { name } of await filesOf(path)) await utimes(join(path, name), hourAgo, hourAgo)
  const used = blocks[30]!
  await cache.get(used.sha256)
  for (let i = 0; i < 50; i++) {
    const { sha256, bytes } = makeBlock()
    await cache.put(sha256, bytes)
  }
  const kept = await Promise.all(blocks.map(({ sha256 }) => cache.get(sha256)))
  expect(kept[30]).toEqual(used.bytes)
  expect(kept.filter((bytes) => bytes !== null).length).toBeLessThan(20)
})

test('several processes share a folder within the bound', async () => {
  const path = newFolder()
  const caches = Array.from({ length: 3 }, () => new BlockCache(path, 64_000))
  const blocks = Array.from({ length: 150 }, () => makeBlock())
  await Promise.all(
    caches.map(async (cache) => {
      for (const { sha256, bytes } of blocks) {
        await cache.put(sha256, bytes)
        expect([null, bytes]).toContainEqual(await cache.get(sha256))
      }
    }),
  )
  // Each may write a sixteenth before it measures again.
  expect(await bytesOf(path)).toBeLessThanOrEqual(64_000 + (3 * 64_000) / 16)
})

test('what killed processes left is removed, and other files are not', async () => {
  const path = newFolder()
  const { bytes, sha256 } = makeBlock()
  await mkdir(join(path, 'ab'), { recursive: true })
  const name = `${'ab'.repeat(32)}.4711.0123abcd`
  const [old, young] = [join(path, 'ab', name), join(path, 'ab', `${name.slice(0, -1)}e`)]
  for (const file of [old, young, join(path, 'ab/notes'), join(path, 'notes')]) {
    await writeFile(file, 'x')
  }
  const hourAhead = Date.now() / 1_000 + 3_600
  await utimes(old, hourAhead, hourAhead)
  await new BlockCache(path).put(sha256, bytes)
  const names = (await filesOf(path)).map((file) => join(path, file.name))
  expect(names).not.toContain(old)
  expect(names).toEqual(expect.arrayContaining([young, join(path, 'ab/notes')]))
})

test('a folder that can’t be written is as if there was no cache', async () => {
  const path = newFolder()
  await writeFile(path, 'a file')
  const { bytes, sha256 } = makeBlock()
  const cache = new BlockCache(path)
  await cache.put(sha256, bytes)
  expect(await cache.get(sha256)).toBeNull()
})

const mountable = canMount()
if (!mountable) console.log('skipped: a full disk (this user may not mount one)')

test.skipIf(!mountable)('a full disk takes no more, and loses nothing', async () => {
  const path = newFolder()
  await mkdir(path)
  mountDisk(path, '256k')
  try {
    const cache = new BlockCache(path)
    const blocks = Array.from({ length: 40 }, () => makeBlock(10_000))
    for (const { sha256, bytes } of blocks) {
      await cache.put(sha256, bytes)
      expect([null, bytes]).toContainEqual(await cache.get(sha256))
    }
    expect(await cache.get(blocks[0]!.sha256)).toEqual(blocks[0]!.bytes)
    expect(await cache.get(blocks.at(-1)!.sha256)).toBeNull()
    expect((await filesOf(path)).every(({ bytes }) => bytes === 10_000)).toBe(true)
  } finally {
    await until(() => {
      try {
        unmountDisk(path)
        return true
      } catch {
        return false
      }
    })
  }
})
