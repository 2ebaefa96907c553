import { openPools } from '../../../src/platform/postgres/pool.ts'
import { verifyDatabase } from '../../../src/proofs/integrity/verify.ts'
import { integrateEvents } from '../../../src/proofs/transparency/integrate.ts'
import { openPeriods } from '../../../src/quota/open-periods.ts'
import { GRAINS, type Grain } from '../../../src/read-model/projections/rolled-up.ts'
import { advance, moveUsage } from '../../../src/rollups/roll-up.ts'
import { appendRuleEvent } from '../../../src/rules/append.ts'
import { type RuleEvent, readCrossings, readImported } from '../../../src/rules/crossings.ts'
import { insertEvent } from '../../support/events.ts'
import { checkpointsOf, foldOnce } from '../../support/fold.ts'
import type { TestDatabase } from '../../support/server.ts'
import type { TestService } from '../../support/service.ts'

/** Verifies the database as it is now. */
export const verify = ({ address }: TestDatabase) =>
  verifyDatabase(address, { signal: new AbortController().signal, onProgress: () => {} })

/** Folds and integrates the whole log, and opens periods, as a service would within a minute. */
export async function settle({ address }: TestDatabase, shards: number): Promise<void> {
  const pools = openPools(address, shards)
  for (let shard = 0; shard < shards; shard++) {
    await foldOnce(pools.project, shard, await checkpointsOf(pools.project, shard))
    while ((await integrateEvents(pools.project, shard)) > 0);
    await openPeriods(pools.project, shard)
  }
  await pools.close()
}

/** Keeps old usage by days, and older usage by months. All of it must be folded. */
export async function rollUpUsage(
  { owner }: TestDatabase,
  kept: Record<Grain, number>,
): Promise<void> {
  const rows = await owner<{ shard: number; generation: number; position: string }[]>`
    select c.shard, c.generation, c.position
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
    where p.projection = 'usage'`
  for (const { position, ...of } of rows) {
    for (const grain of GRAINS) {
      await advance(owner, of, Number(position), grain, kept[grain])
      await moveUsage(owner, of, grain)
    }
  }
}

/** Writes catalog changes, flushes of every kind, unreadable events, and tokens. */
export async function writeHistory(service: TestService): Promise<void> {
  const { owner } = service.database
  await service.putCatalog({
    provider_groups: [{ id: 1, name: 'eins "äß\n', external_id: 'prod "ä"' }, { id: 2 }],
    api_keys: [
      { id: 1, group_id: 1 },
      { id: 2, group_id: 2, name: 'zwei', external_id: 'sk-2' },
      { id: 3 },
    ],
    keys: [
      {
        token_hash: 'limited\\"',
        quota_limit: 1_000,
        quota_period: 'week',
        quota_tz: 'Asia/Tokyo',
      },
      { token_hash: 'free', name: 'é' },
    ],
    dimensions: [{ name: 'model' }, { name: 'status' }],
    measures: [{ name: 'input_tokens' }, { name: 'cost_micros', unit: '"µ"$' }],
  })
  for (let i = 0; i < 16; i++) {
    await post(service, i)
    if (i === 4) await service.putCatalog({ api_keys: [{ id: 1, group_id: 2 }] })
    if (i === 6) await service.fetch('admin', '/admin/api-keys/3', { method: 'DELETE' })
    if (i === 5) await service.putCatalog({ api_keys: [{ id: 3, external_id: 'sk-3' }] })
    if (i === 7) await service.fetch('admin', '/admin/keys/free', { method: 'DELETE' })
    if (i === 6) await service.fetch('admin', '/admin/dimensions/status', { method: 'DELETE' })
    if (i === 7) await service.fetch('admin', '/admin/measures/input_tokens', { method: 'DELETE' })
    if (i === 8) await service.fetch('admin', '/admin/provider-groups/2', { method: 'DELETE' })
  }
  await keepBooks(service)
  // After all that the service has recorded, as it would.
  const recordedAt = new Date(Date.now() + 1).toISOString()
  for (let shard = 0; shard < service.shards; shard++) {
    const place = { shard, recordedAt }
    await insertEvent(owner, { ...place, type: 'KeyStatsFlushed', payload: '{"hashes":[1]}' })
    await insertEvent(owner, { ...place, type: 'OfTomorrow', payload: '{}' })
    await insertEvent(owner, { ...place, type: 'ApiKeyStatsFlushed', payload: VERSION_1 })
  }
  await service.fetch('admin', '/admin/tokens', {
    method: 'POST',
    body: '{"name":"proxy-1","role":"dp"}',
  })
  await service.fetch('admin', '/admin/tokens', {
    method: 'POST',
    body: '{"name":"proxy-2","role":"dp"}',
  })
  await service.fetch('admin', '/admin/tokens/proxy-2', { method: 'DELETE' })
}

/** Appends events of a rule: one subject crosses it, and another one no longer. */
export async function writeRuleEvents({ database, shards }: TestService): Promise<void> {
  const pools = openPools(database.address, shards)
  await readImported(pools.project)
  let { newest } = await readCrossings(pools.read)
  const at = '2026-01-31T12:00:00.000000+00:00'
  const append = async (event: RuleEvent) => {
    newest = (await appendRuleEvent(pools.append, newest, event))!
  }
  const dataOf = (id: string) => ({
    rule: { name: 'quota', kind: 'quota' as const, percent: 80 },
    subject: { kind: 'key' as const, id },
    value: { quota_used: 80, quota_limit: 100 },
    ...{ at, through: '0/0' },
  })
  await append({ type: 'RuleCrossed', data: dataOf('limited\\"') })
  await append({ type: 'RuleCrossed', data: dataOf('é😀') })
  const cleared = { ...dataOf('limited\\"'), crossed_at: at, why: 'recovered' as const }
  await append({ type: 'RuleCleared', data: cleared })
  await pools.close()
}

/**
 * Opens balances, adjusts totals, and reverses both and the oldest flushes of both kinds. Adopts
 * unknown keys before the last reversal.
 */
async function keepBooks(service: TestService): Promise<void> {
  const rated = { total_requests: 1_000, success_requests: 990 }
  const counted = { request_count: 3, used_tokens: 50, quota_used: 40 }
  const opened = await service.act('/admin/balances', {
    as_of: '2026-01-31T12:00:00Z',
    origin: { system: 'ledger "ä"', note: 'moved\n' },
    provider_groups: [1, 2].map((id) => ({ id, ...rated })),
    api_keys: [1, 2, 3].map((id) => ({ id, ...rated })),
    keys: [
      { token_hash: 'free', ...counted, last_accessed_at: 1_600_000_000 },
      { token_hash: 'limited\\"', ...counted },
    ],
  })
  const adjusted = await service.act('/admin/corrections', {
    reason: 'counted "by hand"',
    adjust: {
      provider_groups: [{ id: 2, total_requests: 5, success_requests: -5 }],
      api_keys: [{ id: 2, total_requests: -1, success_requests: -1 }],
      keys: [{ token_hash: 'free', request_count: -1, used_tokens: 2, quota_used: -40 }],
    },
  })
  await service.act('/admin/keys/free/quota-reset', { reason: 'new "contract"' })
  const flushes = await service.database.owner<{ position: string }[]>`
    select e.shard || '/' || e.position as position
    from events e
    where e.type in ('ApiKeyStatsFlushed', 'KeyStatsFlushed') and not exists (
      select from acts a where a.reversed_shard = e.shard and a.reversed_position = e.position
    )
    order by e.recorded_at, e.position
    limit 5`
  const reverse = (position: string) =>
    service.act('/admin/corrections', { reverse: position, reason: 'posted twice' })
  const [last, ...others] = flushes.map(({ position }) => position).reverse()
  for (const position of [adjusted, ...others, opened]) await reverse(position)
  await service.fetch('admin', '/admin/unknown-keys/adopt', {
    method: 'POST',
    body: JSON.stringify({
      api_keys: [{ id: 777, group_id: 1 }, { external_id: 'sk "13"' }],
      keys: [{ token_hash: 'unknown', quota_limit: 10 }],
    }),
  })
  await reverse(last!)
}

async function post(service: TestService, i: number): Promise<void> {
  const headers = { 'idempotency-key': `try-${i}` }
  await service.post(
    '/internal/apikey-stats/flush',
    {
      keys: [
        { api_key_id: 1, requests: 10 + i, success_requests: i },
        { api_key_id: 2, requests: 9_007_199_254_740_991, success_requests: 9_007_199_254_740_991 },
        { api_key_id: 3, requests: i % 2, success_requests: 0 },
        { api_key_id: 777, requests: 5, success_requests: 5, ...(i % 4 === 1 && detailsOf(i)) },
        ...(i > 8 ? [{ api_key: 'sk-2', requests: 1, ...(i % 4 === 1 && detailsOf(i)) }] : []),
        ...(i > 12 ? [{ api_key: `sk "${i}"`, requests: 2, success_requests: 1 }] : []),
        { api_key_id: 1, requests: 2, ...(i % 4 === 1 && detailsOf(i)) },
        { api_key_id: 2, requests: 1, ...(i % 4 === 1 && detailsOf(i + 1)) },
      ],
      ...countedAt(i),
    },
    i % 3 === 0 ? headers : {},
  )
  await service.post(
    '/internal/stats/flush',
    {
      keys: [
        { token_hash: 'limited\\"', requests: i, tokens: 7, last_accessed_at: 1_700_000_000 - i },
        { token_hash: 'free', last_accessed_at: 1_700_000_000 + i },
        { token_hash: 'unknown', requests: 1, tokens: 1, ...(i % 4 === 1 && detailsOf(i)) },
        { token_hash: 'limited\\"', requests: 1, tokens: 2, ...(i % 4 === 1 && detailsOf(i)) },
      ],
      ...countedAt(i),
    },
    i % 3 === 1 ? headers : {},
  )
}

/** Dimensions and measures, some of which are retired by the end. */
const detailsOf = (i: number) => ({
  dimensions: { model: `gpt "${i % 2}"`, ...(i < 6 && { status: '200' }) },
  measures: { cost_micros: i, ...(i < 6 && { input_tokens: 10 * i }) },
})

/** An hour ago, for two of these flushes. */
const countedAt = (i: number) =>
  i === 5 || i === 9 ? { counted_at: Math.floor(Date.now() / 1_000) - 3_600 } : {}

const VERSION_1 =
  '{"groups":[1,null],"counts":[1,1],"ids":[1,777],"requests":[3,1],"successes":[1,0]}'
