import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { openOrigin } from '../../src/proofs/transparency/origin.ts'
import { outcomeOf } from '../support/archive.ts'
import {
  hasServerUser,
  InstalledServer,
  makeServerFolder,
  PROGRAMS,
  runProgram,
} from '../support/postgres-programs.ts'
import { runTallybook } from '../support/process.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// The drill of docs/guides/recovery.md with PostgreSQL's own programs: a base backup, an archive of
// the write-ahead log, and a restore to a time before a token was revoked.

const canRun = PROGRAMS !== null && hasServerUser
if (!canRun) console.log('skipped: the recovery drill (there is no pg_basebackup on this machine)')

const FLUSH = '/internal/apikey-stats/flush'
const NEW_NAME = 'stats.example.com/2'

type Item = { position: number; type: string; payload: { name: string; previous: string } }

let folder: Awaited<ReturnType<typeof makeServerFolder>>
/** The data directory of the service, and the files of an auditor. */
let own: string
let server: InstalledServer
let service: TestService
/** The tokens by name, as their holders keep them. */
const tokens: Record<string, string> = {}

const inFolder = (name: string) => join(folder.path, name)
const ofAuditor = (name: string) => join(own, name)

async function start(): Promise<TestService> {
  const { origin } = await openOrigin(own, null)
  const database = { address: { url: server.url }, owner: null as never, drop: async () => {} }
  return startTestService({ database, shards: 1, origin })
}

const as = (name: string, path: string, init: RequestInit = {}) =>
  fetch(service.url + path, {
    ...init,
    headers: { authorization: `Bearer ${tokens[name]}`, ...init.headers },
  })

/** Posts the flush with this number as the proxy does, and returns its position. */
async function flush(number: number): Promise<string> {
  const response = await as('proxy-1', FLUSH, {
    method: 'POST',
    headers: {
      'idempotency-key': `flush-${number}`,
      'tallybook-sequence': `gw-1/${number}`,
    },
    body: JSON.stringify({ keys: [{ api_key_id: 7, requests: 1 }] }),
  })
  expect(response.status).toBe(200)
  return response.headers.get('tallybook-position')!
}

const change = (method: string, path: string, body?: object) =>
  service.fetch('admin', path, { method, ...(body && { body: JSON.stringify(body) }) })

async function createToken(name: string, role: string): Promise<void> {
  const response = await change('POST', '/admin/tokens', { name, role })
  tokens[name] = ((await response.json()) as { token: string }).token
}

const revokeToken = async (name: string) => (await change('DELETE', `/admin/tokens/${name}`)).status

/** Keeps the proof of a flush, which its proxy asks for. */
async function keepReceipt(position: string, file: string): Promise<void> {
  const response = await as('proxy-1', '/internal/receipts', {
    method: 'POST',
    body: JSON.stringify({ position }),
  })
  expect(response.status).toBe(200)
  await writeFile(file, await response.text())
}

const readEvents = async (type: string) =>
  (await service.read<{ items: Item[] }>(`/audit/events?type=${type}`)).items

/** Audits the log as an outsider, and returns the exit code and the kinds of findings. */
async function audit(...args: string[]): Promise<{ code: number; findings: string[] }> {
  const command = runTallybook(['audit', service.url, '--json', ...args], own)
  const { code, stdout, stderr } = await outcomeOf(command)
  if (code > 1) throw new Error(stderr)
  const { first } = JSON.parse(stdout) as { first: { kind: string }[] }
  return { code, findings: [...new Set(first.map(({ kind }) => kind))] }
}

async function run(statement: string): Promise<Record<string, string>> {
  const owner = connectAsOwner({ url: server.url })
  const [row] = await owner.unsafe(statement)
  await owner.end()
  return row as unknown as Record<string, string>
}

describe.skipIf(!canRun)('a restore to a point in time', () => {
  /** The time to restore. */
  let moment: string
  let keyBefore: string

  beforeAll(async () => {
    folder = await makeServerFolder()
    own = await mkdtemp(join(tmpdir(), 'tallybook-drill-own-'))
    await openOrigin(own, 'stats.example.com')
    server = new InstalledServer(inFolder('before'))
    await server.create()
    await runProgram('/bin/mkdir', inFolder('archive'))
    const settings = [
      "archive_mode = 'on'",
      `archive_command = 'test ! -f ${inFolder('archive')}/%f && cp %p ${inFolder('archive')}/%f'`,
    ]
    await appendFile(join(server.cluster, 'postgresql.conf'), `${settings.join('\n')}\n`)
    await server.start()
    service = await start()
  })
  afterAll(async () => {
    await service?.stop()
    await server?.stop('immediate')
    await folder?.remove()
    await rm(own, { recursive: true, force: true })
  })

  test('everything that happens before the loss', async () => {
    await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 7, group_id: 1 }] })
    await createToken('proxy-1', 'dp')
    await createToken('anna', 'auditor')
    await change('POST', '/admin/webhooks', { name: 'early', url: 'https://hooks.example.com/' })
    await flush(0)
    const backup = ['-D', inFolder('base'), '-c', 'fast', '-U', 'tallybook', '-h', '127.0.0.1']
    await runProgram('pg_basebackup', ...backup, '-p', server.port)
    await runProgram('pg_verifybackup', inFolder('base'))
    await keepReceipt(await flush(1), ofAuditor('before.tlog-proof'))
    moment = (await run('select clock_timestamp()::text as now')).now!

    expect(await revokeToken('anna')).toBe(204)
    await createToken('proxy-2', 'dp')
    expect((await change('DELETE', '/admin/webhooks/early')).status).toBe(204)
    await change('POST', '/admin/webhooks', { name: 'late', url: 'https://hooks.example.com/' })
    await flush(2)
    await keepReceipt(await flush(3), ofAuditor('after.tlog-proof'))
    keyBefore = (await (await service.fetch('auditor', '/audit/log/keys')).text()).trim()
    expect(await audit('--state', ofAuditor('audit.json'))).toEqual({ code: 0, findings: [] })
    const lines = await service.fetch('auditor', '/audit/events?type=TokenRevoked', {
      headers: { accept: 'application/x-ndjson' },
    })
    await writeFile(ofAuditor('revoked.ndjson'), await lines.text())
    await run('select pg_switch_wal()::text')
    await service.stop()
    await server.stop()
  })

  test('the restored database is refused until the loss is stated', async () => {
    server = new InstalledServer(inFolder('after'))
    await runProgram('/bin/cp', '-a', inFolder('base'), server.cluster)
    const settings = [
      "archive_mode = 'off'",
      `restore_command = 'cp ${inFolder('archive')}/%f %p'`,
      `recovery_target_time = '${moment}'`,
      "recovery_target_action = 'promote'",
    ]
    await appendFile(join(server.cluster, 'postgresql.conf'), `${settings.join('\n')}\n`)
    await runProgram('/bin/touch', join(server.cluster, 'recovery.signal'))
    await server.start()
    await until(async () => (await run('select pg_is_in_recovery()::text as it')).it === 'false')
    await run('update tallybook.webhooks set is_enabled = false')

    await expect(start()).rejects.toThrow('tallybook key new-origin')
    expect((await outcomeOf(runTallybook(['key', 'new-origin', NEW_NAME], own))).code).toBe(0)
    service = await start()
  })

  test('the log says under its new name which signed head it has lost', async () => {
    const [changed] = await readEvents('OriginChanged')
    const kept = JSON.parse(await readFile(ofAuditor('audit.json'), 'utf8')) as {
      heads: Record<string, string>
    }
    const sizeOf = (head: string) => Number(head.split('\n')[1])
    expect(sizeOf(changed!.payload.previous)).toBeGreaterThanOrEqual(sizeOf(kept.heads['0']!))
    expect(sizeOf(kept.heads['0']!)).toBeGreaterThan(changed!.position)
  })

  test('auditors find what is lost, and that the rest is as it was', async () => {
    await until(async () => {
      const head = await (await service.fetch('auditor', '/audit/log/0/checkpoint')).text()
      return head.startsWith(NEW_NAME)
    })
    const newKey = [
      '--key',
      (await (await service.fetch('auditor', '/audit/log/keys')).text()).trim(),
    ]
    const bothKeys = [...newKey, '--key', keyBefore]
    const receipt = (name: string) => [...bothKeys, '--heads-only', '--receipt', ofAuditor(name)]
    const [followed, cited, fresh, before, after] = await Promise.all([
      audit('--state', ofAuditor('audit.json'), ...newKey),
      audit(...bothKeys),
      audit(...newKey),
      audit(...receipt('before.tlog-proof')),
      audit(...receipt('after.tlog-proof')),
    ])
    expect(followed).toEqual({ code: 1, findings: ['rolled_back'] })
    expect(cited).toEqual({ code: 1, findings: ['rolled_back'] })
    expect(fresh).toEqual({ code: 0, findings: [] })
    expect(before).toEqual({ code: 0, findings: [] })
    expect(after).toEqual({ code: 1, findings: ['receipt'] })
  })

  test('tokens revoked after the moment are valid again, until they are revoked again', async () => {
    expect((await as('anna', '/admin/keys')).status).toBe(200)
    const copy = (await readFile(ofAuditor('revoked.ndjson'), 'utf8')).trim().split('\n')
    const names = copy.map((line) => (JSON.parse(line) as Item).payload.name)
    expect(names).toEqual(['anna'])
    for (const name of names) expect(await revokeToken(name)).toBe(204)
    expect((await as('anna', '/admin/keys')).status).toBe(401)
    expect(await readEvents('TokenRevoked')).toMatchObject([{ payload: { name: 'anna' } }])
    // Those created after it are unknown, and their names are free.
    expect((await as('proxy-2', FLUSH, { method: 'POST', body: '{}' })).status).toBe(401)
    await createToken('proxy-2', 'dp')
    expect((await as('proxy-2', FLUSH, { method: 'POST', body: '{}' })).status).toBe(200)
  })

  test('webhooks are those of the moment, and none was sent anything', async () => {
    const { items } = await service.read<{ items: object[] }>('/admin/webhooks')
    expect(items).toMatchObject([{ name: 'early', enabled: false, last_attempt_at: null }])
    expect((await change('DELETE', '/admin/webhooks/early')).status).toBe(204)
  })

  test('sources show what is missing, and flushes sent again count once', async () => {
    const readSource = () =>
      service.read<{ epochs: { missing: [number, number][] }[] }>('/admin/sources/proxy-1')
    const readTotal = async () =>
      (await service.read<{ total_requests: number }>('/admin/api-keys/7')).total_requests
    expect(await readTotal()).toBe(2)
    await flush(4)
    expect((await readSource()).epochs[0]!.missing).toEqual([[2, 3]])
    for (const number of [0, 1, 2, 3, 4]) await flush(number)
    expect((await readSource()).epochs[0]!.missing).toEqual([])
    expect(await readTotal()).toBe(5)
  })

  test('the restored database is intact', async () => {
    const { signal } = new AbortController()
    const { first } = await verifyDatabase({ url: server.url }, { signal, onProgress: () => {} })
    expect(first).toEqual([])
  })
})
