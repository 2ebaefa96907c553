import { beforeAll, describe, expect, test } from 'bun:test'
import { gunzipSync } from 'node:zlib'
import { parseEventLine } from '../../src/events/event-line.ts'
import { hashLeaf } from '../../src/events/leaf.ts'
import { parseEntries } from '../../src/proofs/merkle/entries.ts'
import { EMPTY_ROOT, parseHash } from '../../src/proofs/merkle/hash.ts'
import { parseVerifierKey } from '../../src/proofs/merkle/key.ts'
import { openTreeHead, type TreeHead } from '../../src/proofs/merkle/tree-head.ts'
import { isConsistent, rootOfInclusion } from '../../src/proofs/merkle/verify-proof.ts'
import { insertEmptyFlushes } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'
import { rootOf } from '../support/tree.ts'

const SHARD = 0

const service = useService()
beforeAll(async () => {
  await service.putCatalog({ api_keys: [{ id: 7 }] })
})

const get = (path: string, headers: Record<string, string> = {}) =>
  service.fetch('auditor', path, { headers })

async function readText(path: string): Promise<string> {
  const response = await get(path)
  expect(response.status).toBe(200)
  return response.text()
}

async function readKeys() {
  const text = await readText('/audit/log/keys')
  return text
    .trim()
    .split('\n')
    .map((line) => parseVerifierKey(line)!)
}

async function readHead(shard = SHARD): Promise<TreeHead & { note: string }> {
  const note = await readText(`/audit/log/${shard}/checkpoint`)
  const opened = openTreeHead(note, await readKeys())
  if (opened.kind === 'refused') throw new Error(opened.reason)
  return opened
}

/** Waits for a head of at least `size` leaves. */
async function headOf(size: number): Promise<TreeHead & { note: string }> {
  for (;;) {
    const head = await readHead()
    if (head.size >= size) return head
    await Bun.sleep(50)
  }
}

/** Appends to shard 0 until it has `count` events. Returns their leaf hashes. */
async function grow(count: number): Promise<Buffer[]> {
  const { owner } = service.database
  const [row] = await owner`
    select coalesce(max(e.position), -1) + 1 as next from events e where e.shard = ${SHARD}`
  await insertEmptyFlushes(owner, SHARD, count - Number(row!.next))
  const lines = (
    await (await get(`/audit/events?shard=${SHARD}`, { accept: 'application/x-ndjson' })).text()
  ).trimEnd()
  return lines.split('\n').map((line) => {
    const parsed = parseEventLine(line)
    if (parsed.kind === 'malformed') throw new Error(parsed.reason)
    return hashLeaf(parsed.leaf)
  })
}

async function readHashes(path: string): Promise<Uint8Array[]> {
  const response = await get(path)
  expect([path, response.status]).toEqual([path, 200])
  const { hashes } = (await response.json()) as { hashes: string[] }
  return hashes.map((hash) => parseHash(hash)!)
}

describe('the signed tree head', () => {
  test('is text that caches revalidate, signed under the origin of its shard', async () => {
    const response = await get('/audit/log/0/checkpoint')
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(response.headers.get('cache-control')).toBe('no-cache')
    const head = await readHead()
    expect(head.origin).toBe('stats.example.com/audit/log/0')
    if (head.size === 0) expect(head.root).toEqual(EMPTY_ROOT)
  })

  test('exists for every shard and for no other', async () => {
    for (let shard = 0; shard < service.shards; shard++) {
      expect((await readHead(shard)).origin).toBe(`stats.example.com/audit/log/${shard}`)
    }
    expect((await get(`/audit/log/${service.shards}/checkpoint`)).status).toBe(404)
    expect((await get('/audit/log/x/checkpoint')).status).toBe(400)
  })

  test('grows with the log and has the root of the leaves', async () => {
    const leaves = await grow(300)
    const head = await headOf(300)
    expect(head.root).toEqual(rootOf(leaves.slice(0, head.size)))
  })
})

describe('tiles', () => {
  test('hold the leaf hashes at full and partial width, and can be cached', async () => {
    const leaves = await grow(300)
    await headOf(300)
    for (const width of [1, 2, 100, 255]) {
      const response = await get(`/audit/log/0/tile/0/000.p/${width}`)
      expect(Buffer.from(await response.arrayBuffer())).toEqual(
        Buffer.concat(leaves.slice(0, width)),
      )
    }
    const response = await get('/audit/log/0/tile/0/000')
    expect(response.headers.get('content-type')).toBe('application/octet-stream')
    expect(response.headers.get('cache-control')).toBe('private, max-age=31536000, immutable')
    const full = Buffer.from(await response.arrayBuffer())
    expect(full).toEqual(Buffer.concat(leaves.slice(0, 256)))
    const partial = await get('/audit/log/0/tile/0/001.p/44')
    expect(Buffer.from(await partial.arrayBuffer())).toEqual(Buffer.concat(leaves.slice(256, 300)))
    const above = await get('/audit/log/0/tile/1/000.p/1')
    expect(Buffer.from(await above.arrayBuffer())).toEqual(
      Buffer.from(rootOf(leaves.slice(0, 256))),
    )
  })

  test('of entries hold the leaves, and are compressed if the client accepts gzip', async () => {
    const leaves = await grow(300)
    await headOf(300)
    const plain = await get('/audit/log/0/tile/entries/000', { 'accept-encoding': 'identity' })
    expect(plain.headers.get('content-encoding')).toBeNull()
    expect(plain.headers.get('vary')).toBe('Accept-Encoding')
    const bundle = Buffer.from(await plain.arrayBuffer())
    expect(parseEntries(bundle)!.map(hashLeaf)).toEqual(leaves.slice(0, 256))
    const packed = await fetch(`${service.url}/audit/log/0/tile/entries/000`, {
      headers: { authorization: 'Bearer auditor-token-1', 'accept-encoding': 'gzip' },
      decompress: false,
    } as RequestInit)
    expect(packed.headers.get('content-encoding')).toBe('gzip')
    expect(gunzipSync(await packed.arrayBuffer())).toEqual(bundle)
    const partial = await get('/audit/log/0/tile/entries/001.p/44')
    const rest = parseEntries(new Uint8Array(await partial.arrayBuffer()))!
    expect(rest.map(hashLeaf)).toEqual(leaves.slice(256, 300))
  })

  test.each([
    '/audit/log/0/tile/0/002',
    '/audit/log/0/tile/0/001',
    '/audit/log/0/tile/1/000',
    '/audit/log/0/tile/1/000.p/2',
    '/audit/log/0/tile/63/000.p/1',
    '/audit/log/0/tile/64/000.p/1',
    '/audit/log/0/tile/0/0',
    '/audit/log/0/tile/0/000.p/0',
    '/audit/log/0/tile/0/000.p/256',
    '/audit/log/0/tile/0/000.p/01',
    '/audit/log/0/tile/entries/001',
    '/audit/log/0/tile/0/x999/x999/x999/x999/999',
    '/audit/log/0/tile/0/x999/x999/x999/x999/x999/999',
    '/audit/log/0/tile/',
    '/audit/log/9999/tile/0/000',
  ])('%s does not exist', async (path) => {
    await grow(300)
    await headOf(300)
    await expectProblem(await get(path), 404, 'not found')
  })
})

describe('proofs', () => {
  test('of inclusion lead from a leaf to the root of any tree that has it', async () => {
    const leaves = await grow(300)
    const head = await headOf(300)
    for (const [position, size] of [
      [0, 1],
      [0, 300],
      [255, 256],
      [255, 257],
      [256, 257],
      [299, 300],
      [17, 281],
    ] as const) {
      const path = `/audit/proof/inclusion?position=${position}&tree_size=${size}`
      const hashes = await readHashes(path)
      const root = rootOfInclusion(position, size, leaves[position]!, hashes)
      expect(root).toEqual(rootOf(leaves.slice(0, size)) as Buffer)
    }
    const newest = (await (await get('/audit/proof/inclusion?position=3&shard=0')).json()) as {
      tree_size: number
      leaf_hash: string
    }
    expect(newest.tree_size).toBeGreaterThanOrEqual(head.size)
    expect(parseHash(newest.leaf_hash)).toEqual(leaves[3]!)
  })

  test('of consistency lead from a tree to any later one', async () => {
    const leaves = await grow(300)
    await headOf(300)
    for (const [from, to] of [
      [0, 300],
      [1, 300],
      [255, 256],
      [256, 300],
      [257, 299],
      [300, 300],
    ] as const) {
      const hashes = await readHashes(`/audit/proof/consistency?from=${from}&to=${to}`)
      const sized = (size: number) => ({ size, root: rootOf(leaves.slice(0, size)) })
      expect(isConsistent(sized(from), sized(to), hashes)).toBe(true)
    }
  })

  test.each([
    ['inclusion?position=300&tree_size=300', 400, 'invalid query'],
    ['inclusion?position=-1', 400, 'invalid query'],
    ['inclusion', 400, 'invalid request'],
    ['inclusion?position=0&tree_size=0', 400, 'invalid query'],
    ['inclusion?position=0&size=3', 400, 'invalid request'],
    ['inclusion?position=0&tree_size=900000', 404, 'not found'],
    ['inclusion?position=0&shard=9999', 404, 'not found'],
    ['consistency?from=3&to=2', 400, 'invalid query'],
    ['consistency', 400, 'invalid request'],
    ['consistency?from=1&to=900000', 404, 'not found'],
    ['consistency?from=1&to=999999999999999', 404, 'not found'],
  ])('%s answers %d', async (path, status, error) => {
    await grow(300)
    await headOf(300)
    await expectProblem(await get(`/audit/proof/${path}`), status, error)
  })
})
