import {
  Audit,
  type AuditReport,
  type DealtSource,
  type Finding,
  openHttpSource,
  parseKeys,
} from '../../src/client/index.ts'
import { type TestService, TOKENS } from '../support/service.ts'

export type Audited = { report: AuditReport; findings: Finding[] }

export type AuditedOptions = {
  kept?: ReadonlyMap<number, string>
  receipts?: ReadonlyMap<string, string>
  keys?: string[]
  dealt?: DealtSource
  token?: string | null
  headsOnly?: boolean
}

/** An audit of a running service, through HTTP, as an outsider's program would do it. */
export async function auditService(
  service: TestService,
  options: AuditedOptions = {},
): Promise<Audited> {
  const { auditing, findings } = await openAudit(service, options)
  return { report: await auditing.run(), findings }
}

/** One that can go on. */
export async function openAudit(service: TestService, options: AuditedOptions = {}) {
  const findings: Finding[] = []
  const token = options.token === undefined ? TOKENS.auditor : options.token
  const source = await openHttpSource({ url: service.url, token })
  const auditing = new Audit({
    source,
    keys: parseKeys(options.keys ?? (await source.readKeys())),
    kept: options.kept ?? new Map(),
    receipts: options.receipts ?? new Map(),
    dealt: options.dealt,
    headsOnly: options.headsOnly ?? false,
    onFinding: (finding) => findings.push(finding),
    onProgress: () => {},
  })
  return { auditing, findings }
}

/** Catalog, flushes of both kinds and attestations in between, until all of it is signed. */
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

/** The signed tree heads of a service, by shard. */
export async function readHeads(service: TestService): Promise<Map<number, string>> {
  const heads = new Map<number, string>()
  for (let shard = 0; shard < service.shards; shard++) {
    const response = await service.fetch('auditor', `/audit/log/${shard}/checkpoint`)
    heads.set(shard, await response.text())
  }
  return heads
}

/** Waits until all that is in the log is signed. */
export async function untilSigned(service: TestService): Promise<void> {
  const rows = await service.database.owner<{ shard: number; size: number }[]>`
    select e.shard, count(*)::integer as size from events e group by e.shard`
  for (const { shard, size } of rows) {
    for (;;) {
      const note = (await readHeads(service)).get(shard)!
      if (Number(note.split('\n')[1]) >= size) break
      await Bun.sleep(50)
    }
  }
}
