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

// One instance signs a shard's tree heads, and the others adopt them. Each has a copy of the keys,
// and adopts only heads of the tree that it knows.

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
/** Makes the data directory of another instance as a copy of the first one's. */
async function copyOrigin(): Promise<Origin> {
  const dataDir = join(made.dataDir, `copy-${copies++}`)
  await cp(join(made.dataDir, 'transparency'), join(dataDir, 'transparency'), { recursive: true })
  return (await openOrigin(dataDir, null)).origin
}

/** Appends this number of events, and lets the first instance sign them. */
async function grow(count: number): Promise<void> {
  await insertEmptyFlushes(database.owner, SHARD, count)
  await integrate()
  expect((await signer.signGrown()).failed).toEqual(new Map())
}

async function integrate(): Promise<void> {
  while ((await integrateEvents(pools.project, SHARD)) > 0);
}

/** A head of this size for a tree that never existed, signed with the first instance's keys. */
function signOther(size: number, origin: Origin = made.origin) {
  const head = { origin: originOf(origin.name, SHARD), size, root: sha256(Buffer.from('other')) }
  return signTreeHead(head, keysOfShard(origin, SHARD))
}

const adoptOnly = () => false

test('other instances serve and persist the heads that one instance signs', async () => {
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

test('a caller that waits for a head gets it when it is adopted', async () => {
  const other = await open(await copyOrigin())
  const waiting = other.waitForHead(SHARD, 3, 60_000)
  await grow(3)
  await other.signGrown(adoptOnly)
  expect((await waiting)?.note).toBe(signer.newest(SHARD).note)
})

test('a standby serves only published heads, however much the log has grown', async () => {
  const other = await open(await copyOrigin())
  await insertEmptyFlushes(database.owner, SHARD, 5)
  await integrate()
  await other.signGrown(adoptOnly)
  expect(other.newest(SHARD).size).toBe(0)
})

test('a published head is not replaced by an older one', async () => {
  await grow(3)
  const older = signer.newest(SHARD)
  await grow(4)
  await publishHead(pools.project, SHARD, older)
  const other = await open(await copyOrigin())
  expect(other.newest(SHARD).size).toBe(7)
})

describe('the owner of the database cannot make an instance serve', () => {
  test('a head that another key has signed', async () => {
    const other = await open(await copyOrigin())
    await insertEmptyFlushes(database.owner, SHARD, 5)
    await integrate()
    const untrusted = { ...made.origin, keys: [makeSigningKey(made.origin.name)] }
    await publishHead(pools.project, SHARD, signOther(5, untrusted))
    expect((await other.signGrown(adoptOnly)).failed).toEqual(new Map())
    expect(other.newest(SHARD).size).toBe(0)
  })

  test('a head of another shard or another name', async () => {
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

  test('no newer head at all, by a row that no head can replace', async () => {
    await database.owner`
      insert into tree_heads (shard, origin, size, note)
      values (${SHARD}, ${originOf(made.origin.name, SHARD)}, 9007199254740991, 'none')
      on conflict (shard, origin) do update set size = excluded.size, note = excluded.note`
    const other = await open(await copyOrigin())
    await grow(5)
    await other.signGrown(adoptOnly)
    expect(other.newest(SHARD).size).toBe(0)
    // An instance that owns the shard still signs.
    expect((await other.signGrown()).failed).toEqual(new Map())
    expect(other.newest(SHARD)).toEqual(signer.newest(SHARD))
  })
})

describe('a second history', () => {
  test('is never served, and no head is signed once it was published', async () => {
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
    // This holds even if the row is removed.
    await database.owner`delete from tree_heads`
    await insertEmptyFlushes(database.owner, SHARD, 1)
    await integrate()
    expect((await other.signGrown()).failed.get(SHARD)).toBeInstanceOf(TreesDiverged)
    expect(other.newest(SHARD)).toBe(before)
    expect(await readPersistedHead(origin, SHARD)).toBe(before.note)
  })

  test('makes a start refuse a database whose tree is not the published one', async () => {
    const old = await copyOrigin()
    await grow(300)
    await editLog(database.owner, async (sql) => {
      await sql`delete from events where shard = ${SHARD} and position >= 100`
      await sql`delete from tiles where shard = ${SHARD}`
    })
    await insertEmptyFlushes(database.owner, SHARD, 400)
    await integrate()
    // Its own data directory is older than the damage: alone it would allow a second history.
    const refusal = await open(old).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(LogForked)
    expect(String(refusal)).toContain('A tree head of 300 events was signed')
  })

  test('is avoided: a start with an old data directory adopts the published head', async () => {
    const old = await copyOrigin()
    await grow(300)
    const other = await open(old)
    expect(other.newest(SHARD)).toEqual(signer.newest(SHARD))
    expect(await readPersistedHead(old, SHARD)).toBe(signer.newest(SHARD).note)
  })
})

test('if the owner signs nothing, another instance does after a while', async () => {
  const other = await open(await copyOrigin())
  const integrator = new Integrator(
    pools.project,
    TEST_SHARDS,
    other,
    TEST_INTERVALS.transparency,
    pino({ level: 'silent' }),
    () => false,
  )
  await insertEmptyFlushes(database.owner, SHARD, 5)
  integrator.start()
  const head = await other.waitForHead(SHARD, 5, 60_000)
  await integrator.stop()
  expect(head?.size).toBe(5)
  // The head is also published for the instances on standby.
  await signer.signGrown(adoptOnly)
  expect(signer.newest(SHARD)).toEqual(head!)
})
