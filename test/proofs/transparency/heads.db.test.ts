import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { EMPTY_ROOT } from '../../../src/proofs/merkle/hash.ts'
import { makeSigningKey } from '../../../src/proofs/merkle/key.ts'
import { proveConsistency } from '../../../src/proofs/merkle/prove.ts'
import { openTreeHead } from '../../../src/proofs/merkle/tree-head.ts'
import { isConsistent } from '../../../src/proofs/merkle/verify-proof.ts'
import { LogForked } from '../../../src/proofs/transparency/head-store.ts'
import { TilesReplaced, TreeHeads } from '../../../src/proofs/transparency/heads.ts'
import { integrateEvents } from '../../../src/proofs/transparency/integrate.ts'
import {
  openOrigin,
  persistHead,
  readPersistedHead,
  rotateKey,
} from '../../../src/proofs/transparency/origin.ts'
import { readTiles } from '../../../src/proofs/transparency/tiles.ts'
import { editLog, insertEmptyFlushes } from '../../support/events.ts'
import { makeOrigin } from '../../support/origin.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'

const SHARD = TEST_SHARDS - 1

let database: TestDatabase
let pools: Pools
let made: Awaited<ReturnType<typeof makeOrigin>>

beforeEach(async () => {
  database = await createDatabase()
  pools = openPools(database.address, TEST_SHARDS)
  made = await makeOrigin()
})
afterEach(async () => {
  await pools.close()
  await database.drop()
  await made.remove()
})

const open = async () => {
  const { origin } = await openOrigin(made.dataDir, null)
  return TreeHeads.open(pools.project, TEST_SHARDS, origin)
}

/** Appends this number of events, and signs heads until all of them are covered. */
async function grow(heads: TreeHeads, count: number): Promise<void> {
  await insertEmptyFlushes(database.owner, SHARD, count)
  while ((await integrateEvents(pools.project, SHARD)) > 0);
  for (;;) {
    const { more, failed } = await heads.signGrown()
    for (const error of failed.values()) throw error
    if (!more) return
  }
}

describe('the first head', () => {
  test('covers an empty tree and is persisted', async () => {
    const heads = await open()
    expect(heads.newest(SHARD)).toMatchObject({ size: 0, root: EMPTY_ROOT })
    expect(await readPersistedHead(made.origin, SHARD)).toBe(heads.newest(SHARD).note)
  })

  test('covers all events of a log that already exists', async () => {
    await insertEmptyFlushes(database.owner, SHARD, 20_000)
    const heads = await open()
    await grow(heads, 1)
    expect(heads.newest(SHARD).size).toBe(20_001)
  })
})

test('every head is consistent with all earlier ones, across restarts', async () => {
  const all = []
  for (const count of [1, 254, 1, 1, 300, 16_384, 0, 7]) {
    const heads = await open()
    await grow(heads, count)
    all.push(heads.newest(SHARD))
  }
  for (const [i, newer] of all.entries()) {
    for (const older of all.slice(0, i + 1)) {
      const proof = await proveConsistency(older.size, newer.size, (tiles) =>
        readTiles(pools.read, SHARD, tiles),
      )
      expect(isConsistent(older, newer, proof)).toBe(true)
    }
  }
})

test('two instances sign the same tree', async () => {
  const [one, other] = [await open(), await open()]
  await grow(one, 300)
  await grow(other, 0)
  expect(other.newest(SHARD)).toEqual(one.newest(SHARD))
})

test('a head that cannot be persisted is not served, and the next attempt succeeds', async () => {
  const heads = await open()
  await grow(heads, 3)
  const before = heads.newest(SHARD)
  const { folder } = made.origin
  // A file in place of the folder makes every write fail, as a full disk would.
  await Bun.$`mv ${join(folder, 'heads')} ${join(folder, 'aside')} && touch ${join(folder, 'heads')}`
  await insertEmptyFlushes(database.owner, SHARD, 4)
  await integrateEvents(pools.project, SHARD)
  expect([...(await heads.signGrown()).failed.keys()]).toEqual([SHARD])
  expect(heads.newest(SHARD)).toBe(before)
  await Bun.$`rm ${join(folder, 'heads')} && mv ${join(folder, 'aside')} ${join(folder, 'heads')}`
  await grow(heads, 0)
  expect(heads.newest(SHARD).size).toBe(7)
  expect(await readPersistedHead(made.origin, SHARD)).toBe(heads.newest(SHARD).note)
})

test('a caller that waits for a head gets it once it is signed, or null after the time', async () => {
  const heads = await open()
  const waiting = heads.waitForHead(SHARD, 5, 60_000)
  await grow(heads, 4)
  await grow(heads, 1)
  expect((await waiting)?.size).toBe(5)
  expect(await heads.waitForHead(SHARD, 6, 1)).toBeNull()
})

describe('a database that is not the one that was signed', () => {
  const cases: [string, (owner: TestDatabase['owner']) => Promise<unknown>][] = [
    [
      'an older one',
      async (sql) => {
        await sql`delete from events where shard = ${SHARD} and position >= 250`
        await sql`update tiles set hashes = substr(hashes, 1, 250 * 32)
          where shard = ${SHARD} and level = 0 and number = 0`
        await sql`delete from tiles where shard = ${SHARD} and (level > 0 or number > 0)`
      },
    ],
    ['an empty one', (sql) => sql`truncate events, tiles`],
    [
      'one that lost its newest event',
      (sql) => sql`delete from events where shard = ${SHARD} and position = 299`,
    ],
    [
      'one whose newest event was replaced',
      (sql) => sql`update events set source = 'else' where shard = ${SHARD} and position = 299`,
    ],
    [
      'one whose older leaves were replaced',
      (sql) => sql`update tiles set hashes = set_byte(hashes, 4, 255 - get_byte(hashes, 4))
        where shard = ${SHARD} and level = 1`,
    ],
    [
      'one whose leaves were replaced, without higher levels',
      async (sql) => {
        await sql`delete from tiles where shard = ${SHARD} and level > 0`
        await sql`update tiles set hashes = set_byte(hashes, 4, 255 - get_byte(hashes, 4))
          where shard = ${SHARD} and number = 0`
      },
    ],
  ]

  test.each(cases)('%s is refused', async (_, edit) => {
    await grow(await open(), 300)
    const kept = await readPersistedHead(made.origin, SHARD)
    await editLog(database.owner, edit)
    const refusal = await open().catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(LogForked)
    expect(String(refusal)).toContain('A tree head of 300 events was signed')
    expect(String(refusal)).toContain('tallybook key new-origin')
    expect(await readPersistedHead(made.origin, SHARD)).toBe(kept)
  })

  test('an older one that was filled up with other events is refused', async () => {
    await grow(await open(), 300)
    await editLog(database.owner, async (sql) => {
      await sql`delete from events where shard = ${SHARD} and position >= 100`
      await sql`delete from tiles where shard = ${SHARD}`
    })
    await insertEmptyFlushes(database.owner, SHARD, 400)
    while ((await integrateEvents(pools.project, SHARD)) > 0);
    expect(await open().catch((error: unknown) => error)).toBeInstanceOf(LogForked)
  })

  test('a newer one is accepted', async () => {
    await grow(await open(), 300)
    await insertEmptyFlushes(database.owner, SHARD, 300)
    while ((await integrateEvents(pools.project, SHARD)) > 0);
    const heads = await open()
    expect(heads.newest(SHARD).size).toBe(300)
    await grow(heads, 0)
    expect(heads.newest(SHARD).size).toBe(600)
  })

  test('one that lost leaves but no events is accepted, and the leaves are restored', async () => {
    await grow(await open(), 300)
    await editLog(database.owner, (sql) => sql`delete from tiles`)
    expect((await open()).newest(SHARD).size).toBe(300)
  })

  test('one that lost levels but no leaves is accepted, and the levels are restored', async () => {
    await grow(await open(), 300)
    await editLog(database.owner, (sql) => sql`delete from tiles where level > 0`)
    expect((await open()).newest(SHARD).size).toBe(300)
  })

  test('under a running service makes it stop signing heads', async () => {
    const heads = await open()
    await grow(heads, 300)
    await editLog(database.owner, async (sql) => {
      await sql`delete from events where shard = ${SHARD} and position >= 200`
      await sql`delete from tiles where shard = ${SHARD}`
    })
    await integrateEvents(pools.project, SHARD)
    const shrunk = (await heads.signGrown()).failed.get(SHARD)
    expect(shrunk).toBeInstanceOf(TilesReplaced)
    await insertEmptyFlushes(database.owner, SHARD, 200)
    await integrateEvents(pools.project, SHARD)
    const regrown = (await heads.signGrown()).failed.get(SHARD)
    expect(regrown).toBeInstanceOf(TilesReplaced)
    expect(heads.newest(SHARD).size).toBe(300)
  })
})

describe('the origin', () => {
  test('is created once, with files that only their owner can read', async () => {
    const again = await openOrigin(made.dataDir, null)
    expect(again).toEqual({ origin: made.origin, made: false })
    const keys = join(made.origin.folder, 'keys')
    expect((await stat(keys)).mode & 0o777).toBe(0o600)
    expect(await readFile(keys, 'utf8')).toStartWith('PRIVATE+KEY+stats.example.com+')
  })

  test('is created once by several starts at the same time', async () => {
    const fresh = join(made.dataDir, 'fresh')
    const all = await Promise.all(Array.from({ length: 8 }, () => openOrigin(fresh, null)))
    expect(new Set(all.map(({ origin }) => origin.name)).size).toBe(1)
    expect(all.filter((one) => one.made)).toHaveLength(1)
    expect(all[0]!.origin.name).toMatch(/^tallybook-[0-9a-f]{8}$/)
  })

  test('is not changed by an environment variable', async () => {
    const refused = await openOrigin(made.dataDir, 'else.example.com').catch(String)
    expect(refused).toContain('the log has been signed as stats.example.com')
  })

  test('that cannot be written is refused', async () => {
    const file = join(made.dataDir, 'file')
    await Bun.write(file, '')
    expect(await openOrigin(join(file, 'data'), null).catch(String)).toContain("can't be written")
  })

  test('with a broken key file is refused', async () => {
    const keys = join(made.origin.folder, 'keys')
    for (const text of ['', 'no key\n', `${await readFile(keys, 'utf8')}x`]) {
      await Bun.write(keys, text)
      expect(await openOrigin(made.dataDir, null).catch(String)).toContain(
        'something other than signing keys',
      )
    }
    await Bun.$`rm ${keys}`
    expect(await openOrigin(made.dataDir, null).catch(String)).toContain("can't be read")
  })

  test('with a head that its key has not signed is refused', async () => {
    await grow(await open(), 3)
    const note = (await readPersistedHead(made.origin, SHARD))!
    await persistHead(made.origin, SHARD, note.replace('\n3\n', '\n2\n'))
    expect(await open().catch(String)).toContain(`The tree head of shard ${SHARD}`)
  })

  test('signs with every key during a rotation', async () => {
    await grow(await open(), 3)
    await rotateKey(made.origin)
    const { origin } = await openOrigin(made.dataDir, null)
    const [newer, older] = origin.keys.map(({ seed }) =>
      makeSigningKey(`stats.example.com/audit/log/${SHARD}`, seed),
    )
    const both = (await open()).newest(SHARD)
    expect(both.size).toBe(3)
    for (const key of [newer!, older!]) {
      expect(openTreeHead(both.note, [key])).toMatchObject({ kind: 'signed', size: 3 })
    }
  })
})

test('no temporary files of heads are left behind', async () => {
  const heads = await open()
  for (let i = 0; i < 20; i++) await grow(heads, 1)
  const files = await readdir(join(made.origin.folder, 'heads'))
  expect(files.sort()).toEqual(Array.from({ length: TEST_SHARDS }, (_, i) => String(i)).sort())
})
