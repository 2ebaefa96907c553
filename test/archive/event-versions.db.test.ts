import { afterAll, expect, test } from 'bun:test'
import { EVENT_TYPES } from '../../src/events/event.ts'
import { pack } from '../../src/events/packed.ts'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { openOrigin, startOrigin } from '../../src/proofs/transparency/origin.ts'
import { auditArchive, auditService, readHeads, untilSigned } from '../proofs/verifier/audited.ts'
import { importTestArchive, problemsOf } from '../support/archive.ts'
import { insertEvent, positionOf } from '../support/events.ts'
import { rebuildByHttp } from '../support/rebuild.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { endAll, exportSigned, makeDatabase, readLog, reshard, start } from './resharding.ts'

// A log with events of every version is audited, verified, rebuilt, exported and imported.

afterAll(endAll)

const hourAgoS = Math.floor(Date.now() / 1_000) - 3_600

const READS = [
  ...['/admin/apikey-stats/summary', '/admin/provider-groups', '/admin/api-keys', '/admin/keys'],
  ...['/admin/usage?bucket=day', '/admin/usage?bucket=day&group_by=model', '/admin/measures'],
  ...['/admin/breakdown?by=model&api_key_id=21', '/admin/unknown-keys?kind=api_key'],
  '/admin/corrections',
]
const readAll = (service: TestService) =>
  Promise.all(READS.map(async (path) => ({ path, body: await service.read(path) })))

const details = { dimensions: { model: 'gpt-5' }, measures: { cost: 5 } }

async function flush(
  service: TestService,
  kind: 'api_key' | 'key',
  keys: object[],
  counted_at?: number,
  headers: Record<string, string> = {},
) {
  const path = kind === 'key' ? '/internal/stats/flush' : '/internal/apikey-stats/flush'
  const response = await service.post(path, { keys, counted_at }, headers)
  expect(response.status).toBe(200)
  return positionOf(response)
}

const adopt = async (service: TestService, body: object) => {
  const init = { method: 'POST', body: JSON.stringify(body) }
  expect((await service.fetch('admin', '/admin/unknown-keys/adopt', init)).status).toBe(200)
}
const attest = async (service: TestService) => {
  expect((await service.fetch('admin', '/admin/attestations', { method: 'POST' })).status).toBe(201)
}

/** Writes events in all versions of before dimensions and measures. */
async function fillOld(service: TestService): Promise<void> {
  const { owner } = service.database
  await service.putCatalog({
    ...{ provider_groups: [{ id: 1 }], api_keys: [{ id: 7, group_id: 1 }, { id: 8 }] },
    keys: [{ token_hash: 'k', quota_limit: 100 }],
  })
  await service.putCatalog({ api_keys: [{ id: 8, external_id: 'sk-8' }] })
  await insertEvent(owner, {
    ...{ type: 'ApiKeyStatsFlushed', version: 1 },
    payload: '{"groups":[1,null],"counts":[1,1],"ids":[7,777],"requests":[3,1],"successes":[1,0]}',
  })
  const plain = { api_key_id: 7, requests: 2, success_requests: 1 }
  const first = await flush(service, 'api_key', [plain])
  const named = await flush(service, 'api_key', [plain, { api_key: 'sk-9', requests: 4 }])
  await flush(service, 'api_key', [{ api_key: 'sk-9', requests: 8 }])
  await flush(service, 'key', [{ token_hash: 'k', requests: 1, tokens: 5 }])
  const rated = { total_requests: 10, success_requests: 9 }
  await service.act('/admin/balances', {
    ...{ as_of: '2026-01-31T12:00:00Z', origin: { system: 'old' } },
    api_keys: [{ id: 7, ...rated }],
  })
  const adjust = { api_keys: [{ id: 7, total_requests: -1, success_requests: -1 }] }
  await service.act('/admin/corrections', { reason: 'by hand', adjust })
  await service.act('/admin/keys/k/quota-reset', { reason: 'contract' })
  for (const reverse of [first, named]) {
    await service.act('/admin/corrections', { reverse, reason: 'twice' })
  }
  await adopt(service, { api_keys: [{ id: 9, external_id: 'sk-9', group_id: 1 }] })
}

type Table = { table: string }

/** Repeats the newest attestation in the versions of before backdated usage. */
async function attestAsBefore({ database: { owner } }: TestService): Promise<void> {
  const [row] = await owner<{ payload: string }[]>`
    select e.payload::text as payload
    from events e
    where e.shard = 0 and e.type = 'ProjectionAttested'
    order by e.position desc
    limit 1`
  const { tables, totals } = JSON.parse(row!.payload) as { tables: Table[]; totals: object }
  const timely = tables.filter(({ table }) => !table.includes('_backdated_'))
  for (const version of [1, 2]) {
    const payload = JSON.stringify({ tables: timely, totals })
    await insertEvent(owner, { type: 'ProjectionAttested', version, payload, source: 'tallybook' })
  }
}

/** Writes flushes of the versions that had dimensions and measures first. */
async function insertCombined({ database: { owner } }: TestService): Promise<void> {
  const detailed = {
    ...{ dimensions: ['model'], combinations: [['o4']], combination: pack([0]) },
    measures: { cost: [0, ...pack([7])] },
  }
  const apiKeys = {
    ...{ groups: [1], counts: [1], ids: pack([7]), requests: pack([2]), failures: pack([1]) },
    ...detailed,
  }
  const keys = {
    ...{ hashes: ['k'], requests: pack([1]), tokens: pack([3]), last_accessed_at: pack([0]) },
    ...{ quota_tracked: pack([2]), ...detailed },
  }
  for (const [type, version, payload] of [
    ['ApiKeyStatsFlushed', 4, apiKeys],
    ['KeyStatsFlushed', 2, keys],
  ] as const) {
    await insertEvent(owner, { type, version, payload: JSON.stringify(payload) })
  }
}

/** Crosses a rule and ends it. */
async function crossRule(service: TestService): Promise<void> {
  const count = async (type: string) => {
    const path = `/audit/events?type=${type}`
    return (await service.read<{ items: unknown[] }>(path)).items.length > 0
  }
  await service.putCatalog({ rules: [{ name: 'used', kind: 'quota', percent: 1 }] })
  await until(() => count('RuleCrossed'))
  await service.fetch('admin', '/admin/rules/used', { method: 'DELETE' })
  await until(() => count('RuleCleared'))
}

async function fillNew(service: TestService): Promise<void> {
  const named = (name: string) => [{ name }]
  await service.putCatalog({ dimensions: named('model'), measures: named('cost') })
  const position = await flush(service, 'api_key', [
    { api_key_id: 7, requests: 5, ...details },
    { api_key: 'sk-21', requests: 6, ...details },
  ])
  await flush(service, 'api_key', [{ api_key: 'sk-21', requests: 7, ...details }], hourAgoS)
  await flush(service, 'key', [{ token_hash: 'k', requests: 1, tokens: 2, ...details }])
  await insertCombined(service)
  const numbered = { 'tallybook-sequence': 'gw-1/0;last' }
  const entry = { api_key_id: 7, requests: 1, ...details }
  const sequenced = await flush(service, 'api_key', [entry], hourAgoS, numbered)
  await flush(service, 'key', [{ token_hash: 'k', requests: 1 }], undefined, numbered)
  await service.act('/admin/corrections', { reverse: position, reason: 'twice' })
  await service.act('/admin/corrections', { reverse: sequenced, reason: 'twice' })
  await adopt(service, { api_keys: [{ id: 21, external_id: 'sk-21', group_id: 1 }] })
  await crossRule(service)
  await service.fetch('admin', '/admin/tokens', {
    method: 'POST',
    body: JSON.stringify({ name: 'proxy-1', role: 'dp' }),
  })
  await service.fetch('admin', '/admin/tokens/proxy-1', { method: 'DELETE' })
}

/** Verifies the database, and audits the log. */
async function expectIntact(service: TestService): Promise<void> {
  const report = await verifyDatabase(service.database.address, {
    signal: new AbortController().signal,
    onProgress: () => {},
  })
  expect(report.first).toEqual([])
  await untilSigned(service)
  const { findings, report: audited } = await auditService(service)
  expect(findings).toEqual([])
  expect(audited).toMatchObject({ missedActs: 0, missedClaims: 0 })
}

test('a log with every version of every event', async () => {
  // Resharded from a log of two shards, and signed under two names.
  const before = await start('before.example.com', 2)
  await fillOld(before.service)
  await untilSigned(before.service)
  const moved = await reshard(before, 1)
  const first = await start('old.example.com', 1, moved.database)
  await attest(first.service)
  await attestAsBefore(first.service)
  await flush(first.service, 'api_key', [{ api_key_id: 7, requests: 1 }])
  await untilSigned(first.service)
  const heads = await readHeads(first.service)
  await first.service.stop()
  await startOrigin(first.dataDir, 'new.example.com', heads)
  const { origin } = await openOrigin(first.dataDir, null)
  const service = await startTestService({ database: moved.database, shards: 1, origin })
  try {
    await fillNew(service)
    await attest(service)
    const found = new Set(
      (await readLog(moved.database)).map(({ type, version }) => `${type} ${version}`),
    )
    const all = Object.entries(EVENT_TYPES).flatMap(([type, { read }]) =>
      Object.keys(read).map((version) => `${type} ${version}`),
    )
    // A log is resharded once, by this release.
    expect(found).toEqual(new Set(all.filter((name) => name !== 'ShardsChanged 1')))

    await expectIntact(service)
    const expected = await readAll(service)
    await rebuildByHttp(service, ['usage', 'bookkeeping', 'api_key_counters', 'snapshots'])
    expect(await readAll(service)).toEqual(expected)

    const archive = await exportSigned({ service, dataDir: first.dataDir })
    expect(await problemsOf(archive)).toEqual([])
    expect((await auditArchive(archive)).findings).toEqual([])
    const imported = await makeDatabase(1)
    expect(await importTestArchive(imported, archive)).toBe(null)
    const again = await start('imported.example.com', 1, imported)
    expect(await readAll(again.service)).toEqual(expected)
    await expectIntact(again.service)
  } finally {
    await service.stop()
  }
})
