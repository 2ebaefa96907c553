import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyDatabase } from '../../../src/proofs/integrity/verify.ts'
import { openOrigin } from '../../../src/proofs/transparency/origin.ts'
import { useFolder } from '../../support/archive.ts'
import { postFlushes, readRequests } from '../../support/flushes.ts'
import { makeOrigin } from '../../support/origin.ts'
import { createDatabase, type TestDatabase } from '../../support/server.ts'
import { findClientPrograms, runClientProgram } from '../../support/server-programs.ts'
import { startTestService } from '../../support/service.ts'

// A database that pg_dump dumped, and psql or pg_restore restored.

const FLUSHES = 20

const source = await createDatabase()
const programs = await findClientPrograms(source)
if (programs === null) console.log("skipped: no pg_dump of this server's version is installed")

const folder = useFolder()
let own: Awaited<ReturnType<typeof makeOrigin>>

beforeAll(async () => {
  if (programs === null) return
  own = await makeOrigin()
  const service = await startTestService({ database: source, origin: own.origin })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  await postFlushes(service, 'flush', FLUSHES)
  expect(await readRequests(service)).toBe(FLUSHES)
  await service.stop()
})
afterAll(async () => {
  await source.drop()
  await own?.remove()
})

describe.skipIf(programs === null)('a dump', () => {
  test.each([
    ['as text', ['--format=plain'], []],
    ['as an archive', ['--format=custom'], []],
    ['without owners and grants', ['--format=custom', '--no-owner', '--no-privileges'], []],
    ['of the schema alone', ['--format=custom', '--schema=tallybook'], []],
    ['that two jobs restore', ['--format=custom'], ['--jobs=2']],
  ])('%s restores all counts, and goes on', async (name, dumpOptions, restoreOptions) => {
    const file = join(folder.path, name.replaceAll(' ', '-'))
    const database = await createDatabase({ empty: true })
    await runClientProgram(
      [`${programs}/pg_dump`, ...dumpOptions, `--file=${file}`],
      source.address,
    )
    await runClientProgram(
      dumpOptions.includes('--format=plain')
        ? [`${programs}/psql`, '--no-psqlrc', '--set=ON_ERROR_STOP=1', `--file=${file}`]
        : [`${programs}/pg_restore`, '--exit-on-error', ...restoreOptions, '--dbname=', file],
      database.address,
    )
    await expectWhole(database, name)
    await database.drop()
  })
})

async function expectWhole(database: TestDatabase, name: string): Promise<void> {
  // Each service continues from the heads that were signed at the time of the dump.
  const dataDir = join(folder.path, `${name.replaceAll(' ', '-')}.data`)
  await cp(own.dataDir, dataDir, { recursive: true })
  const { origin } = await openOrigin(dataDir, null)
  const service = await startTestService({ database, origin })
  expect(await readRequests(service)).toBe(FLUSHES)
  expect(await postFlushes(service, 'flush', FLUSHES)).toBe(FLUSHES)
  const keys = [{ api_key_id: 1, requests: 1 }]
  expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
  expect(await readRequests(service)).toBe(FLUSHES + 1)
  await service.stop()
  const { signal } = new AbortController()
  const { first } = await verifyDatabase(database.address, { signal, onProgress: () => {} })
  expect(first).toEqual([])
}
