import { beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import { hashLeaf } from '../../src/events/leaf.ts'
import type { Hash } from '../../src/proofs/merkle/hash.ts'
import { useCommands } from '../cli/one-process.ts'
import { auditService, readHeads, untilSigned } from '../proofs/verifier/audited.ts'
import {
  countEvents,
  reshardTestArchive,
  runCommand,
  writeTestArchive,
} from '../support/archive.ts'
import { TEST_SHARDS, type TestDatabase } from '../support/server.ts'
import { rootOf } from '../support/tree.ts'
import {
  exportSigned,
  inOrder,
  makeDatabase,
  nextArchive,
  type Old,
  openResharded,
  type Row,
  readLog,
  reshard,
  start,
} from './resharding.ts'

// A log can be proved to be resharded from another one. Archives that can't be resharded are
// refused.

const FLUSH = { keys: [{ api_key_id: 1, requests: 5, success_requests: 4 }] }

/** Starts a signed log with a catalog, flushes with and without keys, and an attestation. */
async function startFilled(shards: number) {
  const old = await start('old.example.com', shards)
  const { service } = old
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  for (let i = 0; i < 20; i++) {
    const headers: Record<string, string> = i % 2 === 0 ? { 'idempotency-key': `flush-${i}` } : {}
    await service.post('/internal/apikey-stats/flush', FLUSH, headers)
  }
  await service.fetch('admin', '/admin/attestations', { method: 'POST' })
  await untilSigned(service)
  return old
}

const [FROM, TO] = TEST_SHARDS === 1 ? [1, 4] : [4, 3]

const commands = useCommands()

let old: Old
/** Another log with the same name and number of events. */
let other: Old
/** The log that was resharded from the old one. */
let resharded: Awaited<ReturnType<typeof reshard>>
let reshardedRows: readonly Row[]
/** The database for imports, all of which are refused. */
let empty: TestDatabase

beforeAll(async () => {
  old = await startFilled(FROM)
  other = await startFilled(FROM)
  resharded = await reshard(old, TO)
  reshardedRows = await readLog(resharded.database)
  empty = await makeDatabase(TO)
})

test('an archive whose events are not the signed ones is not resharded', async () => {
  const archive = await exportSigned({ ...old, dataDir: other.dataDir })
  expect(await reshardTestArchive(empty, archive, TO)).toMatch(
    /Nothing was imported\. The (first \d+ events|tree head) of shard \d/,
  )
  expect(await countEvents(empty.owner)).toBe(0)
})

test('an audit of a resharded log needs exactly its archive', async () => {
  const kept = await readHeads(old.service)
  const oldKeys = (await (await old.service.fetch('auditor', '/audit/log/keys')).text()).split('\n')
  const at = '0/3'
  const proof = await old.service.fetch('auditor', `/audit/events/${at}/tlog-proof`)
  const receipts = new Map([['receipt', await proof.text()]])
  const { archive, database } = resharded
  // An event that was appended after the export is not in the resharded log.
  const more = await exportFurther()

  const { service: moved } = await start('new.example.com', TO, database)
  await moved.post('/internal/apikey-stats/flush', FLUSH)
  await untilSigned(moved)
  const newKeys = (await (await moved.fetch('auditor', '/audit/log/keys')).text()).split('\n')
  const keys = [...oldKeys, ...newKeys]
  const audit = async (directory: string | null, headsOnly = false) => {
    const resharded = directory === null ? {} : { resharded: await openResharded(directory) }
    const options = { keys, kept, receipts, headsOnly, ...resharded }
    const { findings, report } = await auditService(moved, options)
    return { kinds: [...new Set(findings.map(({ kind }) => kind))].sort(), report }
  }
  expect((await audit(archive)).kinds).toEqual([])
  expect((await audit(archive, true)).kinds).toEqual([])
  // Without the archive the old log seems to be gone.
  expect((await audit(null)).kinds).toContain('rolled_back')
  // A later archive of the same log has more events.
  expect((await audit(more)).kinds).toEqual(['archive'])
  expect((await audit(more, true)).kinds).toEqual(['archive'])
  // An archive of another log: neither the new log nor the stored heads and receipts match it.
  const { kinds } = await audit(await exportSigned(other))
  expect(kinds).toEqual(expect.arrayContaining(['archive', 'fork', 'receipt']))
})

/** Exports the same log again after it has grown. */
async function exportFurther(): Promise<string> {
  const { service } = old
  await service.post('/internal/apikey-stats/flush', FLUSH, { 'idempotency-key': 'late' })
  await untilSigned(service)
  return exportSigned(old)
}

test('a resharded log cannot have its old name or its old data directory', async () => {
  const archive = nextArchive()
  const { address } = old.service.database
  const exported = await runCommand(['export', archive], address, {
    TALLYBOOK_DATA_DIR: old.dataDir,
  })
  expect(exported).toMatchObject({ code: 0, stderr: '' })
  const database = await makeDatabase(TO)
  const imported = await runCommand(['import', archive, '--reshard'], database.address, {
    TALLYBOOK_SHARDS: String(TO),
  })
  expect(imported).toMatchObject({ code: 0, stderr: '' })
  expect(imported.stdout).toContain(`resharded from ${FROM} shard(s) to ${TO}`)
  await expect(start('old.example.com', TO, database)).rejects.toThrow('needs a name of its own')

  const env = { TALLYBOOK_SHARDS: String(TO), TALLYBOOK_DATA_DIR: old.dataDir }
  const refused = await runCommand(['import', archive, '--reshard'], empty.address, env)
  expect(refused.stderr).toContain('was signed as old.example.com')
  // Nor if the log has continued under another name, which would link the old heads as well.
  await runCommand(['key', 'new-origin', 'newer.example.com'], empty.address, env)
  const again = await runCommand(['import', archive, '--reshard'], empty.address, env)
  expect(again.stderr).toContain('was signed as old.example.com')
  expect(await countEvents(empty.owner)).toBe(0)
})

test('an archive that cannot be resharded is refused with the reason', async () => {
  const archive = nextArchive()
  await writeTestArchive(old.service.database, archive)
  const run = async (args: string[], shards?: number) => {
    const env: Record<string, string> = shards ? { TALLYBOOK_SHARDS: String(shards) } : {}
    const { code, stderr } = await commands.runOn(empty, ['import', archive, ...args], env)
    expect(code).toBe(1)
    return stderr
  }
  const sentences = [
    await run(['--reshard']),
    await run(['--reshard'], FROM),
    await run(['--reshard'], TO + 3),
    await run([], TO),
    await run([]),
  ]
  expect(sentences.map((sentence) => sentence.replace(/\d+/g, 'N'))).toMatchSnapshot()
  // The existing and the requested number of shards.
  expect(sentences[2]).toMatch(new RegExp(`\\b${TO}\\b.*\\b${TO + 3}\\b`))
  expect(sentences[4]).toContain(`TALLYBOOK_SHARDS=${TO} tallybook import <directory> --reshard`)
  expect(await countEvents(empty.owner)).toBe(0)
})

const python = Bun.which('python3')

test.skipIf(python === null)(
  'the recipe of docs/explanation/resharding.md computes the roots of the new trees',
  async () => {
    const document = await Bun.file(
      join(import.meta.dir, '../../docs/explanation/resharding.md'),
    ).text()
    const recipe = /```python\n([\s\S]*?)```/.exec(document)?.[1] ?? ''
    const [cwd, shards] = [resharded.archive, String(TO)]
    const command = Bun.spawn([python!, '-c', recipe, shards], { cwd, stdout: 'pipe' })
    const made = (await command.stdout.text()).trim().split('\n')
    const rows = inOrder(reshardedRows).filter(({ type }) => type !== 'ShardsChanged')
    const expected = Array.from({ length: TO }, (_, shard) => {
      const leaves = rows.filter((row) => row.shard === shard).map(leafHashOf)
      return `${shard} ${leaves.length} ${Buffer.from(rootOf(leaves)).toString('hex')}`
    })
    expect(made).toEqual(expected)
  },
)

function leafHashOf(row: Row): Hash {
  const leaf = {
    shard: row.shard,
    position: Number(row.position),
    type: row.type,
    version: row.version,
    recorded_at: row.recorded_at.replace('Z', '+00:00'),
    source: row.source,
    idempotency_key: row.idempotency_key,
    payload_sha256: row.payload_sha256,
  }
  return hashLeaf(JSON.stringify(leaf))
}
