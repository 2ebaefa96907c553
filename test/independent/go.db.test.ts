import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { editLog, insertEmptyFlushes } from '../support/events.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { buildProgram, runProgram } from './program.ts'

// The log, verified by Go's own packages for transparency logs, which are independent of this code.

const SHARD = 0

const folder = await mkdtemp(join(tmpdir(), 'tallybook-go-'))
const program = join(folder, 'verify')
const skipReason = await buildProgram(program)
if (skipReason !== null) console.log(`skipped: ${skipReason}`)

let service: TestService

beforeAll(async () => {
  if (skipReason === null) service = await startTestService()
})
afterAll(async () => {
  await service?.end()
  await rm(folder, { recursive: true, force: true })
})

async function readText(path: string): Promise<string> {
  const response = await service.fetch('auditor', path)
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return response.text()
}

/** Appends until there are `size` events, and waits until they are signed. */
async function growTo(size: number): Promise<void> {
  const { owner } = service.database
  const [row] = await owner`select count(*)::integer as events from events where shard = ${SHARD}`
  await insertEmptyFlushes(owner, SHARD, size - (row!.events as number))
  await until(async () => {
    const signed = Number((await readText(`/audit/log/${SHARD}/checkpoint`)).split('\n')[1])
    return signed === size
  })
}

/** Runs the program; returns its exit code and output. */
async function verify(size: number): Promise<[code: number, output: string]> {
  const [key = ''] = (await readText('/audit/log/keys')).split('\n')
  const proof = join(folder, `${size}.tlog-proof`)
  await Bun.write(proof, await readText(`/audit/events/${SHARD}/${size - 1}/tlog-proof`))
  return runProgram([program, String(SHARD), key, proof], (path) => service.fetch('auditor', path))
}

/** Verifies a log that was extended to `size` events. */
async function expectVerified(size: number): Promise<void> {
  await growTo(size)
  const [code, output] = await verify(size)
  expect(output).toMatch(new RegExp(`^verified ${size} entries, \\d+ proofs$`))
  expect(code).toBe(0)
}

/** The size at which the log is changed. Its tiles 0 to 7 are full. */
const CHANGED_SIZE = 2_100
/** The first position of tile 7. */
const IN_TILE = 1_792

/** Sets the source of an event. */
const setSource = (position: number, source: string) =>
  editLog(
    service.database.owner,
    (sql) => sql`
      update events set source = ${source} where shard = ${SHARD} and position = ${position}`,
  )

describe.skipIf(skipReason !== null)("Go's sumdb/tlog and sumdb/note", () => {
  test.each([1, 255, 256, 257, CHANGED_SIZE])(
    'verify the log of %d events and its proofs',
    expectVerified,
  )

  test('refuse a log in which an event was changed', async () => {
    await setSource(300, 'else')
    expect(await verify(CHANGED_SIZE)).toEqual([1, 'entry 300 is not in the tree'])
    await setSource(300, 'dp')
  })

  test('refuse a log in which a leaf was changed', async () => {
    const changeLeaf = () =>
      editLog(
        service.database.owner,
        (sql) => sql`
          update tiles set hashes = set_byte(hashes, 4, 255 - get_byte(hashes, 4))
          where shard = ${SHARD} and level = 0 and number = 7`,
      )
    await changeLeaf()
    expect(await verify(CHANGED_SIZE)).toEqual([1, `entry ${IN_TILE} is not in the tree`])
    await changeLeaf()
  })

  test('refuse a log in which an event was changed with its leaf', async () => {
    const recomputeLeaf = () =>
      editLog(
        service.database.owner,
        (sql) => sql`
          update tiles t set hashes = overlay(t.hashes placing (
            select leaf_hash(e.shard, e.position, e.type, e.version, e.recorded_at, e.source,
              e.idempotency_key, e.payload_sha256)
            from events e where e.shard = ${SHARD} and e.position = ${IN_TILE}
          ) from 1)
          where t.shard = ${SHARD} and t.level = 0 and t.number = 7`,
      )
    await setSource(IN_TILE, 'else')
    await recomputeLeaf()
    const [code, output] = await verify(CHANGED_SIZE)
    expect(code).toBe(1)
    expect(output).toMatch(/inconsistent tile|the root of the entries is not the signed root/)
    await setSource(IN_TILE, 'dp')
    await recomputeLeaf()
  })

  test.each([65_536, 70_000])('verify the log of %d events, as it was, and its proofs', (size) =>
    expectVerified(size),
  )
})
