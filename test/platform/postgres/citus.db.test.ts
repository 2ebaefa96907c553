import { describe, expect, test } from 'bun:test'
import { readNodes, readPlacement } from '../../../src/platform/postgres/citus/distribute.ts'
import { migrate } from '../../../src/platform/postgres/migrate.ts'
import { connectAsOwner, SERVICE_ROLE } from '../../../src/platform/postgres/pool.ts'
import { outcomeOf } from '../../support/archive.ts'
import { citusNodes, createOnNodes, onEveryNode } from '../../support/citus.ts'
import { runTallybook } from '../../support/process.ts'
import { TEST_SHARDS, useDatabase } from '../../support/server.ts'
import { startTestService } from '../../support/service.ts'

const isCitus = citusNodes().length > 0

const database = useDatabase()

test.skipIf(isCitus)('readPlacement reports a server without Citus', async () => {
  expect(await readPlacement(database.owner)).toBe('no citus')
})

describe.skipIf(!isCitus)('on Citus', () => {
  test('a read of which Citus lost a part gets 503, and never an empty list', async () => {
    const [role] = await database.owner`select current_database() as name`
    // Ends the sessions on the workers between two parts of a query.
    const setting = `in database ${role!.name} set idle_in_transaction_session_timeout`
    await database.owner.unsafe(`alter role ${SERVICE_ROLE} ${setting} = '1ms'`)
    try {
      const other = await startTestService({ database })
      await other.putCatalog({ api_keys: [{ id: 1 }] })
      const statuses = new Set<number>()
      for (let i = 0; i < 20; i++) {
        const response = await other.fetch('admin', '/admin/api-keys?sort=-success_rate')
        statuses.add(response.status)
        const { items = [null] } = (await response.json()) as { items?: unknown[] }
        expect(items).toHaveLength(1)
      }
      expect([...statuses].sort()).toContain(503)
      await other.stop()
    } finally {
      await database.owner.unsafe(`alter role ${SERVICE_ROLE} ${setting} to default`)
    }
  })

  test('shards are distributed evenly over the workers', async () => {
    const { owner } = database
    expect(await readPlacement(owner)).toBe('distributed')
    const counts = (await readNodes(owner)).map(({ shards }) => shards.split(', ').length)
    const workers = citusNodes().length - 1
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(TEST_SHARDS)
    expect(Math.max(...counts)).toBe(Math.ceil(TEST_SHARDS / workers))
  })

  test('`init` distributes the tables that it creates, and can run again', async () => {
    const name = `tallybook_init_${process.pid}`
    const url = await createOnNodes(name)
    for (const args of [['init'], ['init', '--citus']]) {
      const env = { DATABASE_URL: url, TALLYBOOK_SHARDS: String(TEST_SHARDS) }
      const { code, stdout, stderr } = await outcomeOf(runTallybook(args, '/nowhere', env))
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(/^The schema is in place, with \d+ shard\(s\)\.\n\S+ has shard \d/)
      const owner = connectAsOwner({ url })
      expect(await readPlacement(owner)).toBe('distributed')
      await owner.end()
    }
    await onEveryNode(`drop database ${name} with (force)`)
  })

  test('an append runs on the worker of its shard, in one round trip', async () => {
    const plan = await database.owner`
      explain select * from append_batch(0, -1, '', '', '', '', '', '')`
    expect(JSON.stringify(plan)).toContain('Citus Adaptive')
  })

  test('a start distributes tables that a migration has added', async () => {
    const { owner } = database
    await owner`select undistribute_table('parked_events')`
    await owner`select undistribute_table('keys')`
    await migrate(owner, TEST_SHARDS)
    const rows = await owner`
      select c.relname as name from pg_dist_partition p join pg_class c on c.oid = p.logicalrelid
      where c.relname in ('parked_events', 'keys')`
    expect(rows).toHaveLength(2)
  })
})
