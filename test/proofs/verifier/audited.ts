import { afterEach, beforeAll, expect } from 'bun:test'
import type postgres from 'postgres'
import {
  Audit,
  type AuditReport,
  type Finding,
  type LogSource,
  openHttpSource,
  parseKeys,
  type ReshardedSource,
} from '../../../src/proofs/verifier/index.ts'
import { openArchiveSource } from '../../../src/proofs/verifier/sources/archive.ts'
import { editLog } from '../../support/events.ts'
import {
  type TestService,
  type TestServiceOptions,
  TOKENS,
  useService,
} from '../../support/service.ts'

export type Audited = { report: AuditReport; findings: Finding[] }

export type AuditedOptions = {
  kept?: ReadonlyMap<number, string>
  receipts?: ReadonlyMap<string, string>
  keys?: string[]
  resharded?: ReshardedSource
  token?: string | null
  headsOnly?: boolean
  /** Milliseconds that a log may take to grow to its known size. */
  growMs?: number
}

/** Audits a running service through HTTP, as the program of an outsider would. */
export async function auditService(
  service: TestService,
  options: AuditedOptions = {},
): Promise<Audited> {
  const { audit, findings } = await openAudit(service, options)
  return { report: await audit.run(), findings }
}

/** Audits a service, and returns the kinds of findings with the place of the first of each. */
export async function findKinds(
  service: TestService,
  options: AuditedOptions = {},
): Promise<Record<string, string>> {
  const { findings } = await auditService(service, options)
  return Object.fromEntries(findings.toReversed().map(({ kind, at }) => [kind, at]))
}

/** Audits an archive. */
export async function auditArchive(directory: string): Promise<Audited> {
  const { source, problems } = await openArchiveSource(directory)
  expect(problems).toEqual([])
  const { audit, findings } = await auditOf(source, {})
  return { report: await audit.run(), findings }
}

/** Opens an audit that can run several times. */
export async function openAudit(service: TestService, options: AuditedOptions = {}) {
  const token = options.token === undefined ? TOKENS.auditor : options.token
  return auditOf(await openHttpSource({ url: service.url, token }), options)
}

async function auditOf(source: LogSource, options: AuditedOptions) {
  const findings: Finding[] = []
  const audit = new Audit({
    source,
    keys: parseKeys(options.keys ?? (await source.readKeys())),
    kept: options.kept ?? new Map(),
    receipts: options.receipts ?? new Map(),
    resharded: options.resharded,
    headsOnly: options.headsOnly ?? false,
    ...(options.growMs === undefined ? {} : { growMs: options.growMs }),
    onFinding: (finding) => findings.push(finding),
    onProgress: () => {},
  })
  return { audit, findings }
}

/** Writes a catalog, flushes of both kinds, and attestations in between. */
export async function fillService(service: TestService): Promise<void> {
  await service.putCatalog({
    provider_groups: [
      { id: 1, name: 'openai' },
      { id: 2, name: 'ü "quoted" \\ 😀' },
    ],
    api_keys: [{ id: 7, group_id: 1, name: 'checkout' }, { id: 8, group_id: 2 }, { id: 9 }],
    keys: [{ token_hash: 'a', quota_limit: 100 }, { token_hash: 'é' }, { token_hash: '😀' }],
  })
  for (let i = 0; i < 5; i++) {
    await service.post('/internal/apikey-stats/flush', {
      keys: [
        { api_key_id: 7, requests: 10 + i, success_requests: 9 },
        { api_key_id: 8, requests: 2 ** 53 - 1, success_requests: 2 ** 53 - 2 },
        { api_key_id: 9, requests: 1 },
        { api_key_id: 99, requests: 5 },
      ],
    })
    await service.post('/internal/stats/flush', {
      keys: [
        { token_hash: 'a', requests: 1, tokens: 20, last_accessed_at: 1_700_000_000 + i },
        { token_hash: 'é', tokens: 3 },
        { token_hash: '😀', last_accessed_at: 5 },
        { token_hash: 'unknown', requests: 4 },
      ],
    })
    if (i % 2 === 0) await service.fetch('admin', '/admin/attestations', { method: 'POST' })
  }
  await service.fetch('admin', '/admin/api-keys/9', { method: 'DELETE' })
  await service.fetch('admin', '/admin/attestations', { method: 'POST' })
}

/** Returns the place of the first flush of API keys. */
export async function findFlush({ database }: TestService) {
  const [row] = await database.owner<{ shard: number; position: string }[]>`
    select e.shard, e.position from events e
    where e.type = 'ApiKeyStatsFlushed' order by e.shard, e.position limit 1`
  return { shard: row!.shard, position: Number(row!.position) }
}

/** Returns the signed tree heads of a service, by shard. */
export async function readHeads(service: TestService): Promise<Map<number, string>> {
  const heads = new Map<number, string>()
  for (let shard = 0; shard < service.shards; shard++) {
    const response = await service.fetch('auditor', `/audit/log/${shard}/checkpoint`)
    heads.set(shard, await response.text())
  }
  return heads
}

/** Waits until the whole log is covered by signed heads. */
export async function untilSigned(service: TestService): Promise<void> {
  const rows = await service.database.owner<{ shard: number; size: number }[]>`
    select e.shard, count(*)::integer as size from events e group by e.shard`
  for (;;) {
    const heads = await readHeads(service)
    const sizeOf = (shard: number) => Number(heads.get(shard)!.split('\n')[1])
    if (rows.every(({ shard, size }) => sizeOf(shard) >= size)) return
    await Bun.sleep(50)
  }
}

/** A service for the tests of one group, with events of most kinds in its log, all signed. */
export function useFilledService(options: TestServiceOptions = {}): TestService {
  const service = useService(options)
  beforeAll(async () => {
    await fillService(service)
    await untilSigned(service)
  })
  return service
}

/** Changes tables without the service, for one test. */
export type Edit = (
  /** All tables that the change affects. */
  tables: readonly string[],
  change: (sql: postgres.Sql) => Promise<unknown>,
) => Promise<void>

/** Returns a function that edits a service's database; its changes are undone after each test. */
export function useEdits(service: TestService): Edit {
  const saved = new Set<string>()
  afterEach(async () => {
    await editLog(service.database.owner, (sql) =>
      // At once: the service writes tiles that it finds missing.
      sql.begin(async (transaction) => {
        for (const table of saved) {
          await transaction`delete from ${sql(table)}`
          await transaction`insert into ${sql(table)} select * from ${sql(`saved.${table}`)}`
          await transaction`drop table ${sql(`saved.${table}`)}`
        }
      }),
    )
    saved.clear()
  })
  return async (tables, change) => {
    const { owner } = service.database
    await owner`create schema if not exists saved`
    for (const table of tables) {
      if (saved.has(table)) continue
      await owner`create table ${owner(`saved.${table}`)} as select * from ${owner(table)}`
      saved.add(table)
    }
    await editLog(owner, change)
  }
}
