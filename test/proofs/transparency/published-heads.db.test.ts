import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { sha256 } from '../../../src/proofs/merkle/hash.ts'
import { makeSigningKey } from '../../../src/proofs/merkle/key.ts'
import { signTreeHead } from '../../../src/proofs/merkle/tree-head.ts'
import { LogForked } from '../../../src/proofs/transparency/head-store.ts'
import { TreeHeads, TreesDiverged } from '../../../src/proofs/transparency/heads.ts'
import { integrateEvents } from '../../../src/proofs/transparency/integrate.ts'
import { Integrator } from '../../../src/proofs/transparency/integrator.ts'
import {
  keysOfShard,
  type Origin,
  openOrigin,
  originOf,
  readPersistedHead,
} from '../../../src/proofs/transparency/origin.ts'
import { publishHead } from '../../../src/proofs/transparency/published.ts'
import { editLog, insertEmptyFlushes } from '../../support/events.ts'
import { TEST_INTERVALS } from '../../support/intervals.ts'
import { makeOrigin } from '../../support/origin.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'

// One instance signs a shard's tree heads, and the others adopt them: each with a copy of the keys,
// and each only what is the tree that it knows.

const SHARD = TEST_SHARDS - 1

let database: TestDatabase
let pools: Pools
let made: Awaited<ReturnType<typeof makeOrigin>>
let signer: TreeHeads

beforeEach(async () => {
  database = await createDatabase()
  pools = openPools(database.address, TEST_SHARDS)
  made = await makeOrigin()
  signer = await open(made.origin)
})
afterEach(async () => {
  await pools.close()
  await database.drop()
  await made.remove()
})

const open = (origin: Origin) => TreeHeads.open(pools.project, TEST_SHARDS, origin)

let copies = 0
/** Another instance's data directory, as a copy of the first's is now. */
async function copyOrigin(): Promise<Origin> {
  const dataDir = join(made.dataDir, `copy-${copies++}`)
  await cp(join(made.dataDir, 'transparency'), join(dataDir, 'transparency'), { recursive: true })
  return (await openOrigin(dataDir, null)).origin
}

/** Appends so many events and has the first instance sign them. */
async function grow(count: number): Promise<void> {
  await insertEmptyFlushes(database.owner, SHARD, count)
  await integrate()
  expect((await signer.signGrown()).failed).toEqual(new Map())
}

async function integrate(): Promise<void> {
  while ((await integrateEvents(pools.project, SHARD)) > 0);
}

/** A head of this size that the first instance's keys have signed, of a tree that never was. */
function signOther(size: number, origin: Origin = made.origin) {
  const head = { origin: originOf(origin.name, SHARD), size, root: sha256(Buffer.from('other')) }
  return signTreeHead(head, keysOfShard(origin, SHARD))
}

const adoptOnly = () => false

test('one signs, and the others show and keep what it has signed', async () => {
  const origins = [await copyOrigin(), await copyOrigin()]
  const others = await Promise.all(origins.map(open))
  for (const count of [1, 300, 70_000]) {
    await grow(count)
    for (const [i, other] of others.entries()) {
      expect(await other.signGrown(adoptOnly)).toEqual({ more: false, failed: new Map() })
      expect(other.newest(SHARD)).toEqual(signer.newest(SHARD))
      expect(await readPersistedHead(origins[i]!, SHARD)).toBe(signer.newest(SHARD).note)
    }
  }
  expect(signer.newest(SHARD).size).toBe(70_301)
})

test('who waits for a receipt has it when the head is adopted', async () => {
  const other = await open(await copyOrigin())
  const waiting = other.waitForHead(SHARD, 3, 60_000)
  await grow(3)
  await other.signGrown(adoptOnly)
  expect((await waiting)?.note).toBe(signer.newest(SHARD).note)
})

test('what was not published is not shown, however much the log has grown', async () => {
  const other = await open(await copyOrigin())
  await insertEmptyFlushes(database.owner, SHARD, 5)
  await integrate()
  await other.signGrown(adoptOnly)
  expect(other.newest(SHARD).size).toBe(0)
})

test('an older head takes the place of none', async () => {
  await grow(3)
  const older = signer.newest(SHARD)
  await grow(4)
  await publishHead(pools.project, SHARD, older)
  const other = await open(await copyOrigin())
  expect(other.newest(SHARD).size).toBe(7)
})

describe('whoever owns the database can not have shown', () => {
  test('a head that another key has signed', async () => {
    const other = await open(await copyOrigin())
    await insertEmptyFlushes(database.owner, SHARD, 5)
    await integrate()
    const stranger = { ...made.origin, keys: [makeSigningKey(made.origin.name)] }
    await publishHead(pools.project, SHARD, signOther(5, stranger))
    expect((await other.signGrown(adoptOnly)).failed).toEqual(new Map())
    expect(other.newest(SHARD).size).toBe(0)
  })

  test('a head of another shard, or of another name', async () => {
    await grow(5)
    const other = await open(await copyOrigin())
    const name = 'else.example.com'
    const elsewhere = signTreeHead({ ...signOther(9), origin: originOf(name, SHARD) }, [
      makeSigningKey(originOf(name, SHARD)),
    ])
    await publishHead(pools.project, SHARD, elsewhere)
    await publishHead(pools.project, SHARD + 1, signOther(9))
    await other.signGrown(adoptOnly)
    expect(other.newest(SHARD)).toEqual(signer.newest(SHARD))
  })

  test('none at all, by a row that nothing can take the place of', async () => {
    await database.owner`
      insert into tree_heads (shard, origin, size, note)
      values (${SHARD}, ${originOf(made.origin.name, SHARD)}, 9007199254740991, 'none')
      on conflict (shard, origin) do update set size = excluded.size, note = excluded.note`
    const other = await open(await copyOrigin())
    await grow(5)
    await other.signGrown(adoptOnly)
    expect(other.newest(SHARD).size).toBe(0)
    // It signs by itself, as it did before there was the table.
    expect((await other.signGrown()).failed).toEqual(new Map())
    expect(other.newest(SHARD)).toEqual(signer.newest(SHARD))
  })
})

describe('two histories', () => {
  test('a signed head of another tree is never shown, and nothing is signed beside it', async () => {
    const origin = await copyOrigin()
    const other = await open(origin)
    await grow(5)
    await other.signGrown(adoptOnly)
    const before = other.newest(SHARD)
    await insertEmptyFlushes(database.owner, SHARD, 3)
    await integrate()
    await publishHead(pools.project, SHARD, signOther(8))
    for (const signs of [adoptOnly, () => true]) {
      expect((await other.signGrown(signs)).failed.get(SHARD)).toBeInstanceOf(TreesDiverged)
    }
    // Also when the row is gone.
    await database.owner`delete from tree_heads`
    await insertEmptyFlushes(database.owner, SHARD, 1)
    await integrate()
    expect((await other.signGrown()).failed.get(SHARD)).toBeInstanceOf(TreesDiverged)
    expect(other.newest(SHARD)).toBe(before)
    expect(await readPersistedHead(origin, SHARD)).toBe(before.note)
  })

  test('a start refuses the database that holds another tree than was published', async () => {
    const old = await copyOrigin()
    await grow(300)
    await editLog(database.owner, async (sql) => {
      await sql`delete from events where shard = ${SHARD} and position >= 100`
      await sql`delete from tiles where shard = ${SHARD}`
    })
    await insertEmptyFlushes(database.owner, SHARD, 400)
    await integrate()
    // Its own data directory is older than the damage, and would let it sign another history.
    const refusal = await open(old).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(LogForked)
    expect(String(refusal)).toContain('A tree head of 300 events was signed')
  })

  test('a start with an old copy of the data directory begins at what was published', async () => {
    const old = await copyOrigin()
    await grow(300)
    const other = await open(old)
    expect(other.newest(SHARD)).toEqual(signer.newest(SHARD))
    expect(await readPersistedHead(old, SHARD)).toBe(signer.newest(SHARD).note)
  })
})

test('where the one that tends signs nothing, another does after a while, and not before', async () => {
  const other = await open(await copyOrigin())
  const integrator = new Integrator(
    ...([pools.project, TEST_SHARDS, other, TEST_INTERVALS.transparency] as const),
    ...([pino({ level: 'silent' }), () => false] as const),
  )
  await insertEmptyFlushes(database.owner, SHARD, 5)
  integrator.start()
  const head = await other.waitForHead(SHARD, 5, 60_000)
  await integrator.stop()
  expect(head?.size).toBe(5)
  // Published too, for whoever stands by.
  await signer.signGrown(adoptOnly)
  expect(signer.newest(SHARD)).toEqual(head!)
})
