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

describe.skipIf(skipReason !== null)("Go's sumdb/tlog and sumdb/note", () => {
  test.each([1, 255, 256, 257, 65_536, 70_000])(
    'verify the log of %d events and its proofs',
    async (size) => {
      await growTo(size)
      const [code, output] = await verify(size)
      expect(output).toMatch(new RegExp(`^verified ${size} entries, \\d+ proofs$`))
      expect(code).toBe(0)
    },
  )

  test('refuse a log in which an event was changed', async () => {
    await growTo(70_000)
    await editLog(
      service.database.owner,
      (sql) => sql`update events set source = 'else' where shard = ${SHARD} and position = 300`,
    )
    expect(await verify(70_000)).toEqual([1, 'entry 300 is not in the tree'])
  })

  test('refuse a log in which a leaf was changed', async () => {
    await editLog(service.database.owner, async (sql) => {
      await sql`update events set source = 'dp' where shard = ${SHARD} and position = 300`
      await sql`
        update tiles set hashes = set_byte(hashes, 4, 255 - get_byte(hashes, 4))
        where shard = ${SHARD} and level = 0 and number = 7`
    })
    expect(await verify(70_000)).toEqual([1, 'entry 1792 is not in the tree'])
  })

  test('refuse a log in which an event was changed with its leaf', async () => {
    await editLog(service.database.owner, async (sql) => {
      await sql`update events set source = 'else' where shard = ${SHARD} and position = 1792`
      await sql`
        update tiles t set hashes = overlay(t.hashes placing (
          select leaf_hash(e.shard, e.position, e.type, e.version, e.recorded_at, e.source,
            e.idempotency_key, e.payload_sha256)
          from events e where e.shard = ${SHARD} and e.position = 1792
        ) from 1)
        where t.shard = ${SHARD} and t.level = 0 and t.number = 7`
    })
    const [code, output] = await verify(70_000)
    expect(code).toBe(1)
    expect(output).toMatch(/inconsistent tile|the root of the entries is not the signed root/)
  })
})
