import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Manifest } from '../../src/archive/manifest.ts'
import { formatVerifierKey, makeSigningKey } from '../../src/proofs/merkle/key.ts'
import { startLossyProxy } from '../faults/lossy-proxy.ts'
import { makeRandom } from '../faults/random.ts'
import { outcomeOf } from '../support/archive.ts'
import { copyCluster } from '../support/cluster.ts'
import { makeDataDir, type Process, readUrl, runTallybook } from '../support/process.ts'
import { TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'
import { useCommands } from './one-process.ts'

// The service, the export and the audit, as an operator and an auditor run them. Each kind of
// outcome is tested once with an audit in a process of its own.

const commands = useCommands()
let operator: Awaited<ReturnType<typeof makeDataDir>>
let auditor: Awaited<ReturnType<typeof makeDataDir>>
let service: Process
let url = ''
let archive = ''

const send = (role: keyof typeof TOKENS, method: string, path: string, body?: unknown) =>
  fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${TOKENS[role]}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })

const flush = (requests: number) =>
  send('dp', 'POST', '/internal/apikey-stats/flush', { keys: [{ api_key_id: 7, requests }] })

/** Runs an audit with the auditor's token and data directory. */
async function audit(args: string[], token: string = TOKENS.auditor) {
  const env = { TALLYBOOK_DATA_DIR: auditor.path, TALLYBOOK_AUDITOR_TOKEN: token }
  const { code, stdout: out, stderr: errors } = await commands.run(['audit', ...args], env)
  return { code, out, errors }
}

/** The same in a process of its own. */
async function spawnAudit(args: string[]) {
  const command = runTallybook(['audit', ...args], auditor.path)
  const { code, stdout: out, stderr: errors } = await outcomeOf(command)
  return { code, out, errors }
}

const readKey = async () => (await (await send('auditor', 'GET', '/audit/log/keys')).text()).trim()

const fileOf = (name: string) => join(auditor.path, '..', name)

beforeAll(async () => {
  operator = await makeDataDir('migrated')
  auditor = await makeDataDir()
  service = runTallybook(['serve'], operator.path)
  url = await readUrl(service)
  await send('admin', 'PUT', '/admin/catalog', {
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 7, group_id: 1 }],
  })
  await flush(10)
  await send('admin', 'POST', '/admin/attestations')
  const posted = await flush(5)
  const position = posted.headers.get('tallybook-position')
  const receipt = await send('dp', 'POST', '/internal/receipts', { position })
  await writeFile(fileOf('receipt.tlog-proof'), await receipt.text())
  archive = fileOf('archive')
  const exporting = runTallybook(['export', archive], operator.path)
  expect(await exporting.exited).toBe(0)
})
afterAll(async () => {
  service.kill('SIGTERM')
  await service.exited
  await operator.remove()
  await auditor.remove()
})

describe('a running service', () => {
  test('is audited, and its keys are stored on the first use', async () => {
    const state = fileOf('state.json')
    const receipt = fileOf('receipt.tlog-proof')
    const first = await spawnAudit([url, '--state', state, '--receipt', receipt])
    expect([first.code, first.errors]).toEqual([0, expect.stringContaining('Trusted from now on')])
    expect(first.out).toContain('shard 0: 4 events, signed as')
    expect(first.out).toContain('4 payloads, 13 attested digests and totals')
    expect(first.out).toContain('1 receipts verified\nThe newest event was recorded at 20')
    expect(first.out).toContain('Usage was compared by the hour (all together, provider groups,')
    expect(first.out).toEndWith('\nNo findings\n')

    await flush(1)
    const second = await audit([url, '--state', state, '--json', '--all-usage'])
    expect([second.code, second.errors]).toEqual([0, ''])
    const result = { findings: 0, first: [], usage: { outside: 0 } }
    expect(JSON.parse(second.out)).toMatchObject(result)
    expect((await audit([url, '--state', state, '--heads-only'])).code).toBe(0)
  })

  test('is reported as stale if its newest event is older than --max-age', async () => {
    const young = await audit([url, '--max-age', '3600', '--json'])
    expect(young.code).toBe(0)
    expect(Date.now() - Date.parse(JSON.parse(young.out).newest_at)).toBeLessThan(3_600_000)
    for (const args of [['0'], ['0.001', '--heads-only']]) {
      const { code, out } = await audit([url, '--json', '--max-age', ...args])
      expect(code).toBe(1)
      expect(JSON.parse(out).first).toMatchObject([{ kind: 'stale', at: 'log' }])
    }
    const unchecked = JSON.parse((await audit([url, '--heads-only', '--json'])).out)
    expect(unchecked.newest_at).toBeNull()
    expect(unchecked.not_verified).toContain('The age of the newest event was not checked.')
    expect((await audit([url, '--max-age', '-1'])).code).toBe(2)
    expect((await audit([url, '--max-age', 'x'])).code).toBe(2)
  })

  test('with another history than before is reported as a fork', async () => {
    const state = fileOf('other-state.json')
    const keys = (await (await send('auditor', 'GET', '/audit/log/keys')).text()).trim()
    const head = await (await send('auditor', 'GET', '/audit/log/0/checkpoint')).text()
    const [origin, size] = head.split('\n')
    const key = makeSigningKey(origin!)
    const { signTreeHead } = await import('../../src/proofs/merkle/tree-head.ts')
    const root = Buffer.alloc(32)
    const { note } = signTreeHead({ origin: origin!, size: Number(size), root }, [key])
    const text = JSON.stringify({ keys: [keys, formatVerifierKey(key)], heads: { '0': note } })
    await writeFile(state, text)
    const found = await spawnAudit([url, '--state', state])
    expect([found.code, found.out]).toEqual([1, expect.stringContaining('shard 0 (fork):')])
    expect(await readFile(state, 'utf8')).toBe(text)
  })

  test('is followed through a restart until SIGINT', async () => {
    const state = fileOf('followed.json')
    // After the restart it listens on another port: the old one may be taken by then.
    const portOf = () => Number(new URL(url).port)
    const proxy = await startLossyProxy(portOf, makeRandom(1), 0)
    const args = ['audit', proxy.url, '--follow', '--every', '0.1', '--state', state]
    const following = runTallybook(args, auditor.path)
    const sizeNow = async () => {
      const head = await (await send('auditor', 'GET', '/audit/log/0/checkpoint')).text()
      return Number(head.split('\n')[1])
    }
    const untilVerified = async (size: number) => {
      const text = () => readFile(state, 'utf8').catch(() => '{}')
      const sizeOf = (json: string) => Number(JSON.parse(json).heads?.['0'].split('\n')[1] ?? 0)
      await until(async () => sizeOf(await text()) >= size)
    }
    const grow = async () => {
      const before = await sizeNow()
      await flush(2)
      await until(async () => (await sizeNow()) > before)
      await untilVerified(before + 1)
    }
    await grow()
    service.kill('SIGTERM')
    await service.exited
    service = runTallybook(['serve'], operator.path)
    url = await readUrl(service)
    await grow()
    following.kill('SIGINT')
    expect([await following.exited, await following.stdout.text()]).toEqual([
      0,
      expect.stringMatching(/signed as .* with root [^ ]*\n[\s\S]*No findings\n$/),
    ])
    await proxy.close()
  })

  test('that cannot be audited is an error and not a finding', async () => {
    for (const args of [
      [],
      ['nowhere'],
      ['http://127.0.0.1:1'],
      [url, '--key', 'x'],
      [url, '--receipt', fileOf('none')],
      [url, '--what'],
      [url, '--state', operator.path],
    ]) {
      const { code, errors } = await audit(args)
      expect([args, code]).toEqual([args, 2])
      expect(errors).not.toBe('')
    }
    expect((await audit([url], 'wrong-token')).code).toBe(2)
    expect((await spawnAudit([])).code).toBe(2)
  })
})

describe('an archive', () => {
  test('is audited without a service', async () => {
    const key = await readKey()
    const receipt = fileOf('receipt.tlog-proof')
    const { code, out, errors } = await spawnAudit([archive, '--key', key, '--receipt', receipt])
    expect([code, errors]).toEqual([0, ''])
    expect(out).toContain('13 attested digests and totals')
    expect(out).toEndWith('No findings\n')
    expect(await runTallybook(['verify', archive], auditor.path).exited).toBe(0)
  })

  /** Copies the archive, changes the lines of its events, and recomputes all hashes of files. */
  async function forge(name: string, change: (lines: string) => string): Promise<string> {
    const copy = fileOf(name)
    await Bun.$`cp -a ${archive} ${copy}`
    await writeManifest(copy, async (manifest) => {
      const part = manifest.shards[0]!.parts[0]!
      const bytes = gzipSync(change(gunzipSync(await readFile(join(copy, part.file))).toString()))
      await writeFile(join(copy, part.file), bytes)
      Object.assign(part, { bytes: bytes.length, sha256: sha256(bytes) })
    })
    return copy
  }

  const sha256 = (content: Buffer | string) => createHash('sha256').update(content).digest('hex')

  async function writeManifest(copy: string, change: (manifest: Manifest) => unknown) {
    const file = join(copy, 'manifest.json')
    const manifest = JSON.parse(await readFile(file, 'utf8')) as Manifest
    await change(manifest)
    const text = `${JSON.stringify(manifest, null, 2)}\n`
    await writeFile(file, text)
    await writeFile(`${file}.sha256`, `${sha256(text)}  manifest.json\n`)
  }

  test('that was forged with all its hashes does not match the signed head', async () => {
    const forged = await forge('forged', (lines) =>
      lines.replaceAll('"source":"dp"', '"source":"me"'),
    )
    const { code, out } = await audit([forged])
    expect(code).toBe(1)
    expect(out).toContain("(root): the first 4 events don't have the root of the signed tree head")
  })

  test('with a changed payload is reported with the position', async () => {
    const forged = await forge('changed', (lines) =>
      lines.replace('"requests":[10]', '"requests":[9]'),
    )
    const { code, out } = await audit([forged])
    expect(code).toBe(1)
    expect(out).toContain('0/1 (payload):')
    expect(out).toContain('(attestation): api_key_counters as of 0/1')
  })

  test('that is not signed is checked against itself, and fails if a key is given', async () => {
    const copy = fileOf('unsigned')
    await Bun.$`cp -a ${archive} ${copy} && rm -r ${join(copy, 'transparency')}`
    await writeManifest(copy, (manifest) => {
      delete manifest.signed_heads
    })
    const { code, out, errors } = await audit([copy])
    expect([code, errors]).toEqual([0, expect.stringContaining('The archive is not signed')])
    expect(out).toContain('4 events are covered by no signed tree head')
    expect(out).toContain('13 attested digests and totals')
    expect((await audit([copy, '--key', await readKey()])).out).toContain('shard 0 (signature):')
    const forged = await forge('self-contradiction', (lines) =>
      lines.replace('"requests":[10]', '"requests":[9]'),
    )
    await writeManifest(forged, (manifest) => {
      delete manifest.signed_heads
    })
    expect((await audit([forged])).out).toContain('0/1 (payload):')
  })

  test('that is older than the verified state is reported, and the state stays', async () => {
    const state = fileOf('newer.json')
    expect((await audit([url, '--state', state])).code).toBe(0)
    const text = await readFile(state, 'utf8')
    const { code, out } = await audit([archive, '--state', state])
    expect([code, out]).toEqual([1, expect.stringContaining('shard 0 (rolled_back):')])
    expect(await readFile(state, 'utf8')).toBe(text)
  })

  test('is verified to continue the state by its events, but not by its heads alone', async () => {
    const head = await readFile(join(archive, 'transparency/heads/0'), 'utf8')
    const state = fileOf('same.json')
    const content = JSON.stringify({ keys: [await readKey()], heads: { '0': head } })
    await writeFile(state, content)
    expect((await audit([archive, '--state', state])).code).toBe(0)
    const later = fileOf('later')
    await runTallybook(['export', later], operator.path).exited
    expect((await audit([later, '--state', state, '--heads-only'])).code).toBe(2)
    expect((await audit([later, '--state', state])).code).toBe(0)
    expect(await readFile(state, 'utf8')).not.toBe(content)
  })

  test('with a changed signed head fails by its manifest and by its signature', async () => {
    const copy = fileOf('reheaded')
    await Bun.$`cp -a ${archive} ${copy}`
    const file = join(copy, 'transparency/heads/0')
    await writeFile(file, (await readFile(file, 'utf8')).replace('\n4\n', '\n3\n'))
    expect(await runTallybook(['verify', copy], auditor.path).exited).toBe(1)
    await copyCluster(fileOf('imported'), 'migrated')
    const imported = runTallybook(['import', copy], fileOf('imported'))
    expect([await imported.exited, await imported.stderr.text()]).toEqual([
      1,
      expect.stringContaining("heads/0: its SHA-256 differs from the manifest's"),
    ])
    const { code, out } = await audit([copy])
    expect([code, out]).toEqual([1, expect.stringContaining('shard 0 (signature):')])
  })
})
