import { afterAll, beforeAll, expect, test } from 'bun:test'
import { appendFile, chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../../src/platform/postgres/migrate.ts'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { openOrigin } from '../../src/proofs/transparency/origin.ts'
import { TestServer } from '../cluster/replicas/servers.ts'
import { outcomeOf } from '../support/archive.ts'
import { copyCluster } from '../support/cluster.ts'
import { postFlushes, readRequests } from '../support/flushes.ts'
import { makeOrigin } from '../support/origin.ts'
import { runTallybook } from '../support/process.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// Point-in-time recovery with PostgreSQL's own means: a base backup of a running server, its
// write-ahead log in an archive, and a new server that replays the archive up to a restore point.

const FLUSHES = 10

let root: string
let archive: string
let own: Awaited<ReturnType<typeof makeOrigin>>
let server: TestServer
let recovered: TestServer

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallybook-recovery-'))
  await chmod(root, 0o711)
  archive = join(root, 'archive')
  await mkdir(archive)
  // As root the server runs as another user.
  await chmod(archive, 0o777)
  own = await makeOrigin()
  server = new TestServer(join(root, 'server'))
  await copyCluster(server.dataDir)
  await set(server, 'wal_level', 'replica')
  await set(server, 'archive_mode', 'on')
  await set(server, 'archive_command', `cp %p ${archive}/%f`)
  await server.start()
  recovered = new TestServer(join(root, 'recovered'))
})

afterAll(async () => {
  await server?.stop()
  await recovered?.stop()
  await own?.remove()
  await rm(root, { recursive: true, force: true })
})

test('a recovered database needs a new origin, and all flushes can be sent again', async () => {
  const owner = server.connect()
  await migrate(owner, 1)
  let service = await start(server)
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  await postFlushes(service, 'before-the-backup', FLUSHES)
  await backUp()
  await postFlushes(service, 'before-the-moment', FLUSHES)
  await owner`select pg_create_restore_point('moment')`
  await postFlushes(service, 'after-the-moment', FLUSHES)
  await untilSigned(service, 1 + 3 * FLUSHES)
  await owner`select pg_switch_wal()`
  await owner.end()
  await service.stop()
  await server.stop()

  await recover()
  await expect(start(recovered)).rejects.toThrow('tallybook key new-origin')
  const renewal = runTallybook(['key', 'new-origin', 'stats.example.com/2'], own.dataDir)
  expect((await outcomeOf(renewal)).code).toBe(0)

  service = await start(recovered)
  expect(await readRequests(service)).toBe(2 * FLUSHES)
  expect(await postFlushes(service, 'before-the-backup', FLUSHES)).toBe(FLUSHES)
  expect(await postFlushes(service, 'before-the-moment', FLUSHES)).toBe(FLUSHES)
  expect(await postFlushes(service, 'after-the-moment', FLUSHES)).toBe(0)
  expect(await readRequests(service)).toBe(3 * FLUSHES)
  await service.stop()
  const { signal } = new AbortController()
  const { first } = await verifyDatabase(recovered.address, { signal, onProgress: () => {} })
  expect(first).toEqual([])
})

const set = ({ dataDir }: TestServer, name: string, value: string) =>
  appendFile(join(dataDir, 'postgres/postgresql.auto.conf'), `${name} = '${value}'\n`)

async function start({ address }: TestServer): Promise<TestService> {
  const { origin } = await openOrigin(own.dataDir, null)
  const database = { address, owner: null as never, drop: async () => {} }
  return startTestService({ database, shards: 1, origin })
}

/** Waits until a tree head of at least `size` events is published. */
async function untilSigned(service: TestService, size: number): Promise<void> {
  await until(async () => {
    const note = await (await service.fetch('auditor', '/audit/log/0/checkpoint')).text()
    return Number(note.split('\n')[1]) >= size
  })
}

/** Copies the cluster while it runs, as `pg_basebackup` does. */
async function backUp(): Promise<void> {
  const owner = server.connect()
  await owner`select pg_backup_start('test', true)`
  const cluster = join(recovered.dataDir, 'postgres')
  await mkdir(recovered.dataDir)
  await Bun.$`cp -a ${join(server.dataDir, 'postgres')} ${cluster}`.quiet()
  await Bun.$`rm -rf ${cluster}/postmaster.pid ${cluster}/pg_wal/*`.quiet()
  const [label] = await owner<{ labelfile: string }[]>`select labelfile from pg_backup_stop(false)`
  await owner.end()
  await writeForServer('backup_label', label!.labelfile)
}

/** Writes a file that the server, which as root runs as another user, may open for writing. */
async function writeForServer(name: string, text: string): Promise<void> {
  const file = join(recovered.dataDir, 'postgres', name)
  await writeFile(file, text)
  await chmod(file, 0o666)
}

/** Starts a server from the backup, which replays the archive up to the restore point. */
async function recover(): Promise<void> {
  await set(recovered, 'archive_mode', 'off')
  await set(recovered, 'restore_command', `cp ${archive}/%f %p`)
  await set(recovered, 'recovery_target_name', 'moment')
  await set(recovered, 'recovery_target_action', 'promote')
  await writeForServer('recovery.signal', '')
  await recovered.start()
  const owner = recovered.connect()
  await until(async () => {
    const [row] = await owner<{ recovers: boolean }[]>`select pg_is_in_recovery() as recovers`
    return !row!.recovers
  })
  await owner.end()
}
