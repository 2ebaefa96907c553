import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { logArchiveOf } from '../../src/retention/log-archive.ts'
import { auditService } from '../proofs/verifier/audited.ts'
import { parametersOf, runsOf, timeoutOf } from '../property/runs.ts'
import { Session } from '../property/session.ts'
import { history } from '../property/steps.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// Histories of all kinds of events, while segments of 8 events leave the database behind them.

const SHARDS = TEST_SHARDS
const runs = runsOf(8)
const archive = await makeArchive()
let service: TestService
let run = 0

beforeAll(async () => {
  const database = await createDatabase({ shards: SHARDS })
  await useSmallSegments(database, SHARDS, 8, 400)
  service = await startTestService({ database, shards: SHARDS, archive })
})

afterAll(async () => {
  await service.end()
  await archive.remove()
})

async function archiveAll(): Promise<number> {
  let segments = 0
  for (let shard = 0; shard < SHARDS; shard++) {
    segments += await archiveFull(service.database, shard, archive)
  }
  return segments
}

const steps = fc.tuple(history, history)

test(
  `every answer and every total equals the model's, in ${runs} histories`,
  async () => {
    let archived = 0
    const property = fc.asyncProperty(steps, async ([before, after]) => {
      const session = await Session.begin(service, ++run)
      for (const step of before) await session.take(step)
      archived += await archiveAll()
      for (const step of after) await session.take(step)
      archived += await archiveAll()
      await session.compareTotals()
    })
    await fc.assert(property, parametersOf(runs))
    expect(archived).toBeGreaterThan(runs)
  },
  timeoutOf(runs),
)

test('an audit of these histories finds nothing', async () => {
  const { findings } = await auditService(service)
  expect(findings).toEqual([])
})

test('neither does an integrity check', async () => {
  const { address } = service.database
  const { first } = await verifyDatabase(address, {
    signal: new AbortController().signal,
    onProgress: () => {},
    archive: logArchiveOf(address, archive),
  })
  expect(first).toEqual([])
})
