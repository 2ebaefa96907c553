import { hashPayload } from '../../src/events/event.ts'
import { type Sql, type Transaction, transact } from '../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../src/read-model/projections/index.ts'
import { TOKENS } from '../support/service.ts'
import type { Cluster, Instance } from './cluster.ts'
import type { Random } from './random.ts'

/** The faults. Each ends when everything it stopped runs again. */
export const FAULTS = {
  'kill -9 of an instance': ({ instance, random }) => instance.kill(random.below(500)),
  'an instance frozen': ({ instance, random }) => instance.freeze(100 + random.below(2_500)),
  'an instance frozen past its transactions': ({ instance, random }) =>
    instance.freeze(11_000 + random.below(2_000)),
  'rolling restart': ({ instance }) => instance.restart(),
  'kill -9 of the database': ({ cluster, random }) => cluster.killDatabase(random.below(800)),
  'kill -9 of a backend': (context) => killBackend(context),
  'backends terminated': ({ cluster, random }) =>
    withOwner(cluster, async (owner) => {
      await owner`
        select pg_terminate_backend(pid)
        from pg_stat_activity
        where application_name like 'tallybook%' and pid <> pg_backend_pid()
          and pid % 2 = ${random.below(2)}`
    }),
  'a stranger locks a head': ({ cluster, random }) =>
    withOwner(cluster, async (owner) => {
      const shard = random.below(cluster.shards)
      await transact(owner, '', async (transaction) => {
        await transaction`select from shards where shard = ${shard} for update`
        await Bun.sleep(200 + random.below(6_500))
      })
    }),
  'a stranger locks the counters': ({ cluster, random }) =>
    withOwner(cluster, async (owner) => {
      await transact(owner, '', async (transaction) => {
        await transaction`lock table api_key_counters in share mode`
        await Bun.sleep(200 + random.below(3_000))
      })
    }),
  'a stranger keeps an old snapshot': ({ cluster, random }) =>
    withOwner(cluster, async (owner) => {
      await transact(owner, 'isolation level repeatable read', async (transaction) => {
        await transaction`select count(*) from events`
        await Bun.sleep(500 + random.below(3_000))
      })
    }),
  'a rebuild': async ({ instance, random }) => {
    // Runs on as a process of the instance during the next faults.
    const { name } = random.pick([...PROJECTIONS])
    await fetch(`${instance.url}/admin/projections/${name}/rebuild`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKENS.admin}` },
    }).catch(() => {})
  },
  'the clock was an hour ahead': ({ cluster, random }) =>
    withOwner(cluster, async (owner) => {
      const shard = random.below(cluster.shards)
      await transact(owner, '', async (transaction) => {
        await transaction`select from shards where shard = ${shard} for update`
        await appendEmptyFlush(transaction, shard)
      })
    }),
} satisfies Record<string, (context: FaultContext) => Promise<unknown>>

export type FaultName = keyof typeof FAULTS

type FaultContext = { cluster: Cluster; instance: Instance; random: Random }

/** The relative frequency of each fault. */
const WEIGHTS: Record<FaultName, number> = {
  'kill -9 of an instance': 40,
  'an instance frozen': 6,
  'an instance frozen past its transactions': 1,
  'rolling restart': 4,
  'kill -9 of the database': 10,
  'kill -9 of a backend': 4,
  'backends terminated': 8,
  'a stranger locks a head': 4,
  'a stranger locks the counters': 2,
  'a stranger keeps an old snapshot': 2,
  'a rebuild': 16,
  'the clock was an hour ahead': 2,
}

/** The longest pause (ms) between two faults. */
const MAX_GAP_MS = 600

/** Injects one fault after the other until `isOver`, and returns how often each occurred. */
export async function injectFaults(
  cluster: Cluster,
  random: Random,
  isOver: () => boolean,
): Promise<Record<FaultName, number>> {
  const counts = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0])) as Record<
    FaultName,
    number
  >
  const names = (Object.keys(FAULTS) as FaultName[]).flatMap((name) =>
    Array.from({ length: WEIGHTS[name] }, () => name),
  )
  while (!isOver()) {
    await Bun.sleep(random.below(MAX_GAP_MS))
    const name = random.pick(names)
    counts[name]++
    await FAULTS[name]({ cluster, instance: random.pick(cluster.instances), random })
  }
  return counts
}

/** Inserts what an append would have left if the clock had been an hour ahead. */
async function appendEmptyFlush(transaction: Transaction, shard: number): Promise<void> {
  const payload = '{"hashes":[],"quota_tracked":[],"requests":[],"tokens":[],"last_accessed_at":[]}'
  await transaction`
    insert into events (shard, position, type, version, recorded_at, source, payload, payload_sha256)
    select
      ${shard}::integer, coalesce(max(e.position), -1) + 1, 'KeyStatsFlushed', 1,
      greatest(max(e.recorded_at), clock_timestamp() + interval '1 hour'),
      'stranger', ${payload}::text::json, decode(${hashPayload(payload)}, 'hex')
    from events e
    where e.shard = ${shard}`
}

/** Kills one backend, which the server treats as a crash and restarts all of them. */
async function killBackend({ cluster, random }: FaultContext): Promise<void> {
  await withOwner(cluster, async (owner) => {
    const rows = await owner<{ pid: number }[]>`
      select pid
      from pg_stat_activity
      where application_name like 'tallybook%' and pid <> pg_backend_pid()
      order by pid`
    const row = rows.length === 0 ? null : random.pick(rows)
    if (row) process.kill(row.pid, 'SIGKILL')
  })
}

/** Runs statements of another program, and ignores errors: other faults may end the connection. */
async function withOwner(cluster: Cluster, run: (owner: Sql) => Promise<void>): Promise<void> {
  const owner = cluster.connect()
  try {
    await run(owner)
  } catch {
    // Its backend was terminated, or the server restarts.
  } finally {
    await owner.end({ timeout: 1 }).catch(() => {})
  }
}
