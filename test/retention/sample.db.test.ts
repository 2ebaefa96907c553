import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openLoading, openPools } from '../../src/platform/postgres/pool.ts'
import { verifySample } from '../../src/proofs/integrity/sample.ts'
import {
  finishVerification,
  insertVerification,
  readNewestFinished,
} from '../../src/proofs/integrity/scheduled/stored.ts'
import type { Report } from '../../src/proofs/integrity/verify.ts'
import { logArchiveOf } from '../../src/retention/log-archive.ts'
import { checkSample, takeTurns } from '../../src/retention/sample.ts'
import { openStore } from '../../src/segment-files/open-store.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { editLog, insertEvent, insertFlushes } from '../support/events.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// A nightly verification reads a bounded part of a large archive, and all of it with time.

const archive = await makeArchive()
const signal = new AbortController().signal
let service: TestService
let segments = 0

beforeAll(async () => {
  const database = await createDatabase({ shards: TEST_SHARDS })
  await useSmallSegments(database, TEST_SHARDS, 32)
  service = await startTestService({ database, shards: TEST_SHARDS, archive })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  for (let i = 0; i < 110 * TEST_SHARDS; i++) {
    const keys = [{ api_key_id: 1, requests: 1 }]
    await service.post('/internal/apikey-stats/flush', { keys }, { 'idempotency-key': `key-${i}` })
  }
  await service.read('/admin/usage')
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    segments += await archiveFull(database, shard, archive)
  }
})

afterAll(async () => {
  await service.end()
  await archive.remove()
})

const verify = (smallBytes = 0): Promise<Report> => {
  const { address } = service.database
  const options = { signal, onProgress: () => {}, archive: logArchiveOf(address, archive) }
  return verifySample(address, { ...options, smallBytes })
}

/** Checks what one block a night finds, in so many nights; returns the problems of each night. */
async function checkNights(nights: number, { address } = service.database, { url } = archive) {
  const [pools, loading] = [openPools(address, 1), openLoading(address)]
  const sources = { sql: pools.read, loading, store: openStore(url!), signal }
  try {
    const found = []
    for (let night = 0; night < nights; night++) {
      found.push(await checkSample(sources, { night, maxBlocks: 1 }))
    }
    return found
  } finally {
    await pools.close()
    await loading.end()
  }
}

test('a small archive is read as a whole, a large one by a sample', async () => {
  const whole = await verify(2 ** 30)
  expect(whole.problems).toBe(0)
  expect(whole.sampled).toBeUndefined()
  const { first, sampled, events, positions } = await verify()
  expect(first).toEqual([])
  // Blocks are few here, so that the sample has all of them.
  expect({ sampled, events, positions }).toEqual({
    ...{ sampled: true, events: whole.events, positions: whole.positions },
  })
})

test('a night costs the same however many files there are, and nights reach every block', () => {
  for (const files of [1, 7, 256, 3_000]) {
    const read = new Set<string>()
    const [blocks, maxBlocks] = [5, 16]
    for (let night = 900; night < 900 + Math.ceil((files * blocks) / maxBlocks) + 1; night++) {
      let count = 0
      for (const [file, turns] of takeTurns(files, { night, maxBlocks })) {
        count += turns.length
        for (const turn of turns) read.add(`${file} ${turn % blocks}`)
      }
      expect(count).toBe(maxBlocks)
    }
    expect(read.size).toBe(files * blocks)
  }
  expect(takeTurns(0, { night: 1, maxBlocks: 16 }).size).toBe(0)
})

test('a lost and a changed file are found within as many nights as there are files', async () => {
  const intact = await checkNights(segments)
  expect(intact.map(({ events, problems }) => [events, problems])).toEqual(
    intact.map(() => [32, []]),
  )
  const listed = await service.database.owner<{ name: string }[]>`
    select a.file_name as name from archived_segments a order by a.shard, a.first_position limit 2`
  const [lost, changed] = listed.map(({ name }) => join(fileURLToPath(archive.url!), name))
  await rename(lost!, `${lost}-away`)
  const content = await readFile(changed!)
  const wrong = Buffer.from(content)
  wrong[200]! ^= 1
  await writeFile(changed!, wrong)
  const found = await checkNights(segments)
  expect(found.filter(({ problems }) => problems.length > 0).length).toBe(2)
  const { first, problems } = await verify()
  expect(problems).toBeGreaterThan(1)
  expect(new Set(first.map(({ check }) => check))).toEqual(new Set(['archive']))
  await rename(`${lost}-away`, lost!)
  await writeFile(changed!, content)
  expect((await verify()).first).toEqual([])
})

test('a block of more events than are decoded in one go is intact, whatever stays of it', async () => {
  const [database, own] = [await createDatabase({ shards: 1 }), await makeArchive()]
  try {
    await useSmallSegments(database, 1, 1_100)
    for (const flushes of [300, 900]) {
      await insertFlushes(database.owner, flushes)
      await insertEvent(database.owner, { type: 'TotalsAdjusted', payload: '{"a":1}' })
    }
    expect(await archiveFull(database, 0, own)).toBe(1)
    expect(await checkNights(1, database, own)).toEqual([{ events: 1_100, problems: [] }])
  } finally {
    await database.drop()
    await own.remove()
  }
})

test('an event in the database that was changed is found', async () => {
  const head = await service.database.owner<{ position: string }[]>`
    select max(e.position) as position from events e where e.shard = 0`
  const position = Number(head[0]!.position)
  const change = (source: string) =>
    editLog(
      service.database.owner,
      (log) => log`update events set source = ${source} where shard = 0 and position = ${position}`,
    )
  await change('nobody')
  const { first } = await verify()
  expect(first.map(({ check, at }) => `${at} ${check}`)).toContain(`0/${position} leaf`)
  await change('dp')
  expect((await verify()).first).toEqual([])
})

test('a sample without problems does not hide those that a complete one has found', async () => {
  const pools = openPools(service.database.address, 1)
  const record = async (problems: number, sampled?: true) => {
    const started = await insertVerification(pools.project, null)
    const report: Report = { positions: '0/1', events: 2, problems, first: [] }
    await finishVerification(pools.project, started!.id, sampled ? { ...report, sampled } : report)
    return started!.id
  }
  try {
    const failed = await record(3)
    await record(0, true)
    expect(await readNewestFinished(pools.read)).toMatchObject({ id: failed, problems: 3 })
    const complete = await record(0)
    await record(0, true)
    expect(await readNewestFinished(pools.read)).toMatchObject({ id: complete, problems: 0 })
    const found = await record(1, true)
    expect(await readNewestFinished(pools.read)).toMatchObject({ id: found, problems: 1 })
  } finally {
    await pools.close()
  }
})
