/**
 * Measures reads of token keys with a quota period, near the end of a month. Prints a table of
 * milliseconds.
 *
 *     bun bench/quotas.ts [keys] [shards] [rounds]
 */
import { connectAsOwner, type Sql } from '../src/platform/postgres/pool.ts'
import { startChild } from './child.ts'
import { median, percentile, round } from './measure.ts'
import { startBenchServer } from './server.ts'
import { TOKENS } from './workload.ts'

/** Keys in one change of the catalog. */
const KEYS_PER_CHANGE = 5_000

/** One key in 20 is used in each quarter hour of 28 days, the others in one of 60. */
const BUSY_ONE_IN = 20
const QUIET_ONE_IN = 60
const QUARTERS = 28 * 96

const hashOf = (key: number) => new Bun.CryptoHasher('sha256').update(String(key)).digest('hex')

/** The reads, and those that add up usage, because they are as of the past. */
const NOW = {
  'exhausted keys': '/internal/quota/exhausted',
  'keys by quota_used': '/admin/keys?sort=-quota_used',
  'keys by requests': '/admin/keys?sort=-request_count',
  'keys by hash': '/admin/keys?limit=100',
  'a busy key': `/admin/keys/${hashOf(BUSY_ONE_IN)}`,
}
const PAST = {
  'keys by quota_used, as of the past': '/admin/keys?sort=-quota_used&as_of_position=',
  'a busy key, as of the past': `/admin/keys/${hashOf(BUSY_ONE_IN)}?as_of_position=`,
}
/** Rounds of these. */
const PAST_ROUNDS = 3

async function main(keys: number, shards: number, rounds: number): Promise<void> {
  const server = await startBenchServer()
  const address = await server.createDatabase('quotas')
  const args = ['tallybook', JSON.stringify(address), JSON.stringify({ shards })]
  const service = await startChild('peers/serve.ts', args)
  const owner = connectAsOwner(address)
  try {
    await putKeys(service.url, keys)
    const rows = await fill(owner, keys, shards)
    await untilOpen(owner, keys * shards)
    console.error(`${keys} keys, ${shards} shards, ${rows} rows of usage`)
    const position = await request(service.url, NOW['keys by hash'])
    console.log('| read | first, ms | median | 90 of 100 |\n| --- | ---: | ---: | ---: |')
    const past = Object.entries(PAST).map(([name, path]) => [name, path + position] as const)
    for (const [reads, count] of [
      [Object.entries(NOW), rounds] as const,
      [past, PAST_ROUNDS] as const,
    ]) {
      for (const [name, path] of reads) {
        const ms: number[] = []
        for (let i = 0; i < count; i++) {
          const started = performance.now()
          await request(service.url, path)
          ms.push(performance.now() - started)
        }
        const cells = [ms[0]!, median(ms), percentile(ms, 0.9)].map(round)
        console.log(`| ${name} | ${cells.join(' | ')} |`)
      }
    }
  } finally {
    await owner.end()
    await service.stop()
    await server.stop()
  }
}

async function putKeys(url: string, keys: number): Promise<void> {
  for (let first = 1; first <= keys; first += KEYS_PER_CHANGE) {
    const count = Math.min(KEYS_PER_CHANGE, keys - first + 1)
    const rows = Array.from({ length: count }, (_, i) => ({
      token_hash: hashOf(first + i),
      quota_limit: 1_000 * (1 + ((first + i) % 100)),
      quota_period: 'month',
    }))
    await request(url, '/admin/catalog', JSON.stringify({ keys: rows }))
  }
}

/** Writes rows of usage that the log does not have, and their sums. Returns their number. */
async function fill(owner: Sql, keys: number, shards: number): Promise<number> {
  await owner`
    create temporary table hashes as
    select k, encode(sha256(k::text::bytea), 'hex') as token_hash
    from generate_series(1, ${keys}::integer) k`
  const { count } = await owner`
    insert into key_usage (shard, generation, token_hash, quarter, requests, tokens, quota_used)
    select
      (q / 7 + h.k) % ${shards}::integer, 1, h.token_hash,
      date_trunc('month', clock_timestamp(), 'UTC') + q * interval '15 minutes', 1, 10, 10
    from generate_series(0, ${QUARTERS - 1}::integer) q
      cross join hashes h
    where h.k % ${BUSY_ONE_IN}::integer = 0
      or q % ${QUIET_ONE_IN}::integer = h.k % ${QUIET_ONE_IN}::integer`
  await owner`
    insert into key_counters
      (shard, generation, token_hash, requests, tokens, quota_used, last_accessed_at)
    select u.shard, u.generation, u.token_hash, sum(u.requests), sum(u.tokens), sum(u.quota_used), 1
    from key_usage u
    group by 1, 2, 3
    on conflict do nothing`
  // The rows that were made before are without it.
  await owner`update checkpoints set periods_position = null`
  await owner`vacuum analyze`
  return count
}

/** Waits until the service has opened the periods of all keys. */
async function untilOpen(owner: Sql, rows: number): Promise<void> {
  for (let found = 0; found < rows; await Bun.sleep(1_000)) {
    const [row] = await owner<{ count: number }[]>`
      select count(*)::integer as count
      from key_period_usage q
        join checkpoints c on c.shard = q.shard and c.projection = 'usage'
          and c.periods_position = c.position`
    found = row!.count
  }
}

/** Sends a request, with a body if it changes the catalog. Returns the position of the answer. */
async function request(url: string, path: string, body?: string): Promise<string> {
  const token = path.startsWith('/internal/') ? TOKENS.dp : TOKENS.admin
  const response = await fetch(url + path, {
    ...(body !== undefined && { method: 'PUT', body }),
    headers: { authorization: `Bearer ${token}` },
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
  return response.headers.get('tallybook-position') ?? ''
}

const [keys = 20_000, shards = 1, rounds = 30] = Bun.argv.slice(2).map(Number)
await main(keys, shards, rounds)
