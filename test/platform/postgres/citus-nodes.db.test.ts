import { beforeAll, describe, expect, test } from 'bun:test'
import { Writable } from 'node:stream'
import pino from 'pino'
import {
  completeNodes,
  moveSlice,
  planMoves,
  readLayout,
} from '../../../src/platform/postgres/citus/rebalance.ts'
import { outcomeOf } from '../../support/archive.ts'
import { citusNodes, urlOf } from '../../support/citus.ts'
import { keyOfShard } from '../../support/keys.ts'
import { runTallybook } from '../../support/process.ts'
import { useService } from '../../support/service.ts'
import { until } from '../../support/until.ts'

// A Citus cluster whose nodes learn of a change, are unavailable, or have uneven shard counts.

const nodes = citusNodes()
const worker = nodes[2]

const lines: { msg: string; node?: string }[] = []
const output = new Writable({
  write(chunk, _, done) {
    lines.push(JSON.parse(String(chunk)))
    done()
  },
})

describe.skipIf(nodes.length !== 3)('on Citus', () => {
  const service = useService({ logger: pino({ level: 'warn' }, output) })
  let url: string
  beforeAll(() => {
    url = (service.database.address as { url: string }).url
  })

  const tallybook = (args: string[], env: Record<string, string> = {}) =>
    outcomeOf(
      runTallybook(args, '/nowhere', {
        DATABASE_URL: url,
        TALLYBOOK_SHARDS: String(service.shards),
        ...env,
      }),
    )

  const postTo = async (shard: number, name: string) => {
    const headers = { 'idempotency-key': keyOfShard(shard, service.shards, name) }
    return (await service.post('/internal/stats/flush', { keys: [] }, headers)).status
  }
  const postToEach = (name: string) =>
    Promise.all(Array.from({ length: service.shards }, (_, shard) => postTo(shard, name)))
  const each = <Value>(value: Value) => new Array<Value>(service.shards).fill(value)

  async function shardsOn({ port }: { port: number }): Promise<number[]> {
    const { slices } = await readLayout(service.database.owner)
    return slices.filter((slice) => slice.worker.endsWith(`:${port}`)).flatMap((s) => s.shards)
  }

  test('DATABASE_READ_URL is refused in one sentence', async () => {
    const { code, stderr } = await tallybook(['serve'], { DATABASE_READ_URL: url })
    expect(code).toBe(1)
    expect(stderr).toStartWith("DATABASE_READ_URL can't be used with Citus")
  })

  test('a worker in place of the coordinator is refused in one sentence', async () => {
    const { pathname } = new URL(url)
    const { code, stderr } = await tallybook(['serve'], {
      DATABASE_URL: urlOf(worker!.url, pathname.slice(1)),
    })
    expect(code).toBe(1)
    expect(stderr).toStartWith('DATABASE_URL names a worker of a Citus cluster')
  })

  test('the database size is the sum over all nodes', async () => {
    const [row] = await service.database.owner<{ size: string }[]>`
      select pg_database_size(current_database()) as size`
    const { database } = await service.read<{ database: { size_bytes: number } }>('/admin/status')
    // Each node has a system catalog of its own, of 8 MB.
    expect(database.size_bytes).toBeGreaterThan(2 * Number(row!.size))
  })

  test('flushes and reads continue while workers do not know of a change', async () => {
    const { owner } = service.database
    // Without synced metadata the coordinator runs the functions itself.
    await owner`update pg_dist_node set metadatasynced = false where groupid > 0`
    await owner`update pg_dist_node set hasmetadata = false where groupid > 0`
    const plan = await owner`explain select * from append_batch(0, -1, '', '', '', '', '', '')`
    expect(JSON.stringify(plan)).not.toContain('Citus Adaptive')
    for (let i = 0; i < 8; i++) expect(await postToEach(`unsynced-${i}`)).toEqual(each(200))
    expect((await service.putCatalog({ api_keys: [{ id: 1, group_id: 0 }] })).status).toBe(200)
    expect((await service.fetch('admin', '/admin/apikey-stats/summary')).status).toBe(200)
    await owner`update pg_dist_node set hasmetadata = true, metadatasynced = true`
    expect(await postToEach('synced')).toEqual(each(200))
  })

  test('`rebalance` spreads shards evenly while flushes are accepted', async () => {
    const { owner } = service.database
    const { workers, slices } = await readLayout(owner)
    const to = workers.find(({ port }) => port === worker!.port)!
    const slice = slices.find((s) => s.worker !== to.name && s.shards.length > 0)!
    const from = workers.find(({ name }) => name === slice.worker)!
    await moveSlice(owner, { slice, from, to })
    const counts = async () =>
      (await Promise.all(nodes.slice(1).map(shardsOn))).map(({ length }) => length)
    expect(Math.max(...(await counts()))).toBe(service.shards / 2 + 1)
    const dry = await tallybook(['rebalance', '--dry-run'])
    expect(dry).toMatchObject({ code: 0, stderr: '' })
    expect(dry.stdout).toStartWith('would move shard ')
    const rebalancing = tallybook(['rebalance'])
    let isDone = false
    void rebalancing.finally(() => {
      isDone = true
    })
    for (let i = 0; !isDone; i++) expect(await postToEach(`rebalanced-${i}`)).toEqual(each(200))
    expect(await rebalancing).toMatchObject({ code: 0, stderr: '' })
    expect(await counts()).toEqual(nodes.slice(1).map(() => service.shards / 2))
    const again = await tallybook(['rebalance'])
    expect(again.stdout).not.toContain('moved')
  })

  test('a worker that must have no shards keeps not even an empty slice', async () => {
    const { owner } = service.database
    const setTakesShards = async (takes: boolean) =>
      owner`select citus_set_node_property(${worker!.host}, ${worker!.port}::integer,
        'shouldhaveshards', ${takes})`
    await setTakesShards(false)
    const { workers, slices } = await readLayout(owner)
    const moves = planMoves(workers, slices)
    expect(moves.length).toBe(slices.filter((s) => s.worker.endsWith(`:${worker!.port}`)).length)
    await completeNodes(owner)
    await setTakesShards(true)
  })

  test('an unavailable node takes down its own shards only, and is logged once', async () => {
    const { owner } = service.database
    const down = await shardsOn(worker!)
    // Like a node that refuses connections: no server listens on that port.
    await owner`
      update pg_dist_node set nodeport = 9 where nodeport = ${worker!.port} and groupid > 0`
    await owner`
      select count(pg_terminate_backend(a.pid, 10000)) from pg_stat_activity a
      where a.datname = current_database() and a.pid <> pg_backend_pid()
        and a.application_name like 'tallybook%'`
    const up = (shard: number) => (down.includes(shard) ? 0 : 1)
    const expected = ['database 1', ...each(0).map((_, shard) => `shard ${up(shard)}`)]
    await until(async () => (await readUp()).join() === expected.join())
    const available = each(0).flatMap((_, shard) => (up(shard) ? [shard] : []))
    for (const shard of available) expect(await postTo(shard, 'half')).toBe(200)
    for (const shard of down) expect(await postTo(shard, 'half')).toBe(503)
    const { database } = await service.read<{ database: { size_bytes: null } }>('/admin/status')
    expect(database.size_bytes).toBeNull()
    const node = `${worker!.host}:9`
    await until(() =>
      lines.some((line) => line.msg === 'projector: database unavailable' && line.node === node),
    )

    await owner`update pg_dist_node set nodeport = ${worker!.port} where nodeport = 9`
    await until(async () => (await readUp()).every((line) => line.endsWith('1')))
    await until(() =>
      lines.some(
        (line) => line.msg === 'projector: database available again' && line.node === node,
      ),
    )
    expect(await postToEach('half')).toEqual(each(200))
    const logged = lines.filter(
      (line) => line.msg === 'projector: database unavailable' && line.node === node,
    )
    expect(logged.length).toBeLessThanOrEqual(2)
  })

  async function readUp(): Promise<string[]> {
    const text = await (await fetch(`${service.url}/metrics`)).text()
    const found = text.matchAll(/^tallybook_(database|shard)_up.* (\d)$/gm)
    return Array.from(found, ([, what, value]) => `${what} ${value}`)
  }
})
