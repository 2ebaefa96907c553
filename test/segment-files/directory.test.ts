import { afterAll, describe, expect, test } from 'bun:test'
import { chmod, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openDirectory } from '../../src/segment-files/stores/directory.ts'
import { canMount, mountDisk, unmountDisk } from '../support/disk.ts'
import { until } from '../support/until.ts'
import { useFolder } from './folder.ts'
import { inPieces, makeBytes, testStore } from './store-contract.ts'

// A directory as a store: it keeps its promises when a process dies, and when the disk fails.

const folder = useFolder()

describe('contract', () => {
  testStore('a directory', () => openDirectory(folder.path))
})

test('what a killed process has left is not listed, and removed by the next put', async () => {
  const root = join(folder.path, 'killed')
  await mkdir(join(root, 'shard-0'), { recursive: true })
  await writeFile(join(root, 'shard-0/a.segment.partial-4711'), 'half')
  const store = openDirectory(root)
  expect(await store.list()).toEqual({ kind: 'listed', names: [] })
  expect(await store.size('shard-0/a.segment')).toMatchObject({ kind: 'not_found' })
  await store.put('shard-0/a.segment', inPieces(makeBytes(5)))
  expect(await readdir(join(root, 'shard-0'))).toEqual(['a.segment'])
  await writeFile(join(root, 'shard-0/b.segment.partial-4711'), 'half')
  await store.remove('shard-0/b.segment')
  expect(await readdir(join(root, 'shard-0'))).toEqual(['a.segment'])
})

test('a put whose process is killed leaves no object, and the next one succeeds', async () => {
  const root = join(folder.path, 'kill')
  await mkdir(root)
  const module = join(import.meta.dir, '../../src/segment-files/stores/directory.ts')
  const program = `
    import { openDirectory } from ${JSON.stringify(module)}
    async function* endless() {
      for (;;) {
        yield Buffer.alloc(10_000)
        await Bun.sleep(1)
      }
    }
    await openDirectory(${JSON.stringify(root)}).put('a', endless())`
  const child = Bun.spawn([process.execPath, '-e', program], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [draft] = await until(async () => {
    const names = await readdir(root)
    return names.length > 0 && (await stat(join(root, names[0]!))).size > 0 ? names : null
  })
  child.kill('SIGKILL')
  await child.exited
  expect(draft).toStartWith('a.partial-')
  const store = openDirectory(root)
  expect(await store.list()).toEqual({ kind: 'listed', names: [] })
  expect(await store.put('a', inPieces(makeBytes(5)))).toEqual({ kind: 'stored', bytes: 5 })
  expect(await readdir(root)).toEqual(['a'])
})

test('a directory that is not there is unavailable, and is not made', async () => {
  const root = join(folder.path, 'not-mounted')
  const store = openDirectory(root)
  const answers = [
    ...[await store.put('a', inPieces(makeBytes(5))), await store.size('a'), await store.list()],
    ...[await store.read('a', { offset: 0, length: 1 }), await store.remove('a')],
  ]
  expect(answers.map(({ kind }) => kind)).toEqual(Array(5).fill('unavailable'))
  expect(await readdir(folder.path)).not.toContain('not-mounted')
})

test('a folder or a file in the place of an object is no object', async () => {
  await mkdir(join(folder.path, 'folder/inside'), { recursive: true })
  await writeFile(join(folder.path, 'folder/file'), '')
  const store = openDirectory(join(folder.path, 'folder'))
  expect(await store.size('inside')).toMatchObject({ kind: 'unavailable' })
  expect(await store.put('file/a', inPieces(makeBytes(1)))).toMatchObject({ kind: 'unavailable' })
})

test.skipIf(process.getuid?.() === 0)('a directory without permissions denies', async () => {
  const root = join(folder.path, 'denied')
  await mkdir(root)
  await chmod(root, 0o500)
  expect(await openDirectory(root).put('a', inPieces(makeBytes(1)))).toMatchObject({
    kind: 'denied',
  })
  await chmod(root, 0o700)
})

const mounted = canMount() ? join(import.meta.dir, `../../node_modules/.disk-${process.pid}`) : null
if (mounted === null) console.log('skipped: a full disk (this user may not mount one)')

afterAll(async () => {
  if (mounted !== null) await rm(mounted, { recursive: true, force: true })
})

test.skipIf(mounted === null)('a full disk is reported, and nothing is left on it', async () => {
  await mkdir(mounted!, { recursive: true })
  mountDisk(mounted!, '1m')
  try {
    const store = openDirectory(mounted!)
    const full = { kind: 'full' }
    expect(await store.put('a/b', inPieces(makeBytes(2_000_000), 10_000))).toMatchObject(full)
    expect(await readdir(join(mounted!, 'a'))).toEqual([])
    expect(await store.put('a/b', inPieces(makeBytes(500_000)))).toMatchObject({ kind: 'stored' })
  } finally {
    unmountDisk(mounted!)
  }
})

test('of two that put one name at once, one fails, and the object is whole', async () => {
  const store = openDirectory(join(folder.path))
  const bytes = makeBytes(100_000)
  const puts = [0, 1].map(() => store.put('raced', inPieces(bytes, 100)))
  const kinds = (await Promise.all(puts)).map(({ kind }) => kind)
  expect(kinds.filter((kind) => kind === 'stored')).toHaveLength(1)
  const read = await store.read('raced', { offset: 0, length: 100_000 })
  expect(read).toEqual({ kind: 'read', bytes })
  await store.remove('raced')
})
