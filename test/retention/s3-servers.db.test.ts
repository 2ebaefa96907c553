import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { readWritable } from '../../src/retention/archive.ts'
import type { ListedSegment } from '../../src/retention/list.ts'
import {
  BUCKET,
  CREDENTIALS,
  type S3Server,
  startMoto,
  startSeaweed,
  whyNone,
} from '../segment-files/s3-servers.ts'
import { useSmallSegments } from '../support/archived.ts'
import { insertFlushes, untilWaiting } from '../support/events.ts'
import { isExtended, LEFT_TO_CI } from '../support/extended.ts'
import { expectProblem } from '../support/problem.ts'
import {
  type DataDir,
  makeDataDir,
  type Process,
  readUrl,
  runTallybook,
} from '../support/process.ts'
import { createDatabase, type TestDatabase, urlOf } from '../support/server.ts'
import { startTestService, TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'

// Segments move to servers that others have made, are read there, and come back.

const EVENTS = '/audit/events?shard=0&limit=1000'
const URL = `s3://${BUCKET}/logs`

for (const [program, startServer] of [
  ['weed', startSeaweed],
  ['moto', startMoto],
] as const) {
  const reason = isExtended ? whyNone(program) : `${program} ${LEFT_TO_CI}`
  if (reason !== null) console.log(`skipped: an archive on ${program} (${reason})`)
  describe.skipIf(reason !== null)(program, () => {
    let server: S3Server
    let database: TestDatabase
    let dataDir: DataDir
    let serving: Process | null = null
    let url: string
    let events: string
    let environment: Record<string, string>

    beforeAll(async () => {
      if (reason !== null) return
      server = await startServer()
      environment = {
        ...{ S3_ENDPOINT: server.url, S3_REGION: 'us-east-1' },
        S3_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
        S3_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      }
      dataDir = await makeDataDir()
      database = await createDatabase({ shards: 1 })
      await useSmallSegments(database, 1)
      const service = await startTestService({ database, shards: 1 })
      await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
      await insertFlushes(database.owner, 199)
      await until(async () => (await readWritable(database.owner)).length === 3)
      await until(async () => {
        await service.read('/admin/usage')
        const rows = await database.owner`
          select from checkpoints c where c.position < 192 and c.projection <> 'snapshots'`
        return rows.length === 0
      })
      events = await (await service.fetch('auditor', EVENTS)).text()
      await service.stop()
    }, 120_000)
    afterAll(async () => {
      if (reason !== null) return
      serving?.kill('SIGKILL')
      await serving?.exited
      await Promise.all([database.drop(), dataDir.remove(), server.stop()])
    })

    const start = (...args: string[]) =>
      runTallybook(args, dataDir.path, {
        ...{ ...environment, DATABASE_URL: urlOf(database.address), TALLYBOOK_SHARDS: '1' },
        ...{ TALLYBOOK_ARCHIVE_URL: URL, TALLYBOOK_KEEP_DAYS: '1' },
      })

    async function run(...args: string[]): Promise<string> {
      const child = start(...args)
      const [stdout, stderr] = [child.stdout.text(), child.stderr.text()]
      expect(`${await child.exited} ${await stderr}${await stdout}`).toStartWith('0 ')
      return stdout
    }

    /** Starts a service: Bun's client takes the variables of S3 as they were when a process began. */
    async function serve(): Promise<void> {
      serving?.kill('SIGKILL')
      await serving?.exited
      serving = start('serve')
      url = await readUrl(serving)
    }

    const read = (path: string) =>
      fetch(url + path, { headers: { authorization: `Bearer ${TOKENS.auditor}` } })

    const readStates = async () =>
      (JSON.parse(await run('segments', '--json')) as ListedSegment[])
        .slice(0, 4)
        .map(({ state }) => state)

    const passDays = () => database.owner`
      update archived_segments
      set first_recorded_at = first_recorded_at - interval '2 days',
        last_recorded_at = last_recorded_at - interval '2 days',
        leaving_at = leaving_at - interval '2 days'`

    /** Kills a run that has uploaded a segment, and waits to record it. */
    async function killAfterUpload(): Promise<void> {
      const owner = connectAsOwner(database.address)
      const connection = await owner.reserve()
      await connection`begin`
      await connection`lock table archived_segments in share row exclusive mode`
      const child = start('segments', 'archive')
      await untilWaiting(database.owner, 1)
      child.kill('SIGKILL')
      await child.exited
      await connection`rollback`
      connection.release()
      await owner.end()
      await until(async () => {
        const rows = await database.owner`
          select from pg_locks l where l.locktype = 'advisory' and l.objid = 7365007`
        return rows.length === 0
      })
    }

    test('segments are written, leave, are read and verified, and come back', async () => {
      await killAfterUpload()
      await run('segments', 'archive')
      expect(await readStates()).toEqual(['written', 'written', 'written', 'open'])
      await passDays()
      await run('segments', 'archive')
      await passDays()
      await run('segments', 'archive')
      expect(await readStates()).toEqual(['archived', 'archived', 'archived', 'open'])
      // As they were recorded.
      await database.owner`
        update archived_segments
        set first_recorded_at = first_recorded_at + interval '4 days',
          last_recorded_at = last_recorded_at + interval '4 days'`
      await serve()
      const answer = await read(EVENTS)
      expect(answer.status).toBe(200)
      expect(await answer.text()).toBe(events)
      expect(await run('verify')).toContain('No problems')
      // What the killed process had uploaded belongs to no segment.
      const verified = '3 segments with 192 events. No problems\n'
      expect(await run('segments', 'verify')).toBe(verified)
      expect(await run('segments', 'verify', '--archive', URL)).toBe(verified)
      expect(await run('segments', 'restore', '0/64')).toBe('Restored events 0/64 to 127\n')
      expect(await readStates()).toEqual(['archived', 'written', 'archived', 'open'])
      expect(await run('verify')).toContain('No problems')
    }, 60_000)

    test('without the server, what has left is unavailable, and the rest is read', async () => {
      await server.stop()
      await rm(join(dataDir.path, 'archive-cache'), { recursive: true })
      await serve()
      await expectProblem(await read('/audit/events/0/10'), 503, 'archive unavailable')
      expect((await read('/audit/events/0/80')).status).toBe(200)
      const failed = start('segments', 'verify')
      expect(await failed.exited).toBe(1)
      expect(await failed.stdout.text()).toContain('3 problems')
    }, 120_000)
  })
}
