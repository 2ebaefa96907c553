import { distribute } from '../../src/platform/postgres/citus/distribute.ts'
import { migrate } from '../../src/platform/postgres/migrate.ts'
import { connectAsOwner, type Sql } from '../../src/platform/postgres/pool.ts'

// Databases on a Citus cluster: each is one database of the same name on every node.

/** A node of the cluster: a database of its own to work from, and how the others reach it. */
type Node = { url: string; host: string; port: number }

/** The nodes of the run (see test/citus.ts), the coordinator first; none where it has no Citus. */
export const citusNodes = (): Node[] => JSON.parse(process.env.TALLYBOOK_TEST_NODES ?? '[]')

/** The nodes of a cluster, as a database of its coordinator knows them. */
export async function findNodes(url: string): Promise<Node[]> {
  const sql = connectAsOwner({ url })
  try {
    const rows = await sql<{ host: string; port: number }[]>`
      select n.nodename as host, n.nodeport as port
      from pg_dist_node n
      where n.noderole = 'primary' and n.isactive
      order by n.groupid`
    return rows.map(({ host, port }) => {
      const node = new URL(url)
      node.hostname = host
      node.port = String(port)
      return { url: node.href, host, port }
    })
  } finally {
    await sql.end()
  }
}

/** Runs a statement on every node, outside the databases of tests. */
export function onEveryNode(statement: string): Promise<unknown> {
  return Promise.all(
    citusNodes().map(({ url }) => withSql(url, (sql) => whenUnused(() => sql.unsafe(statement)))),
  )
}

/** A process of Citus' own may come back to a database while it is dropped. */
async function whenUnused(run: () => Promise<unknown>): Promise<unknown> {
  for (let tries = 1; ; tries++) {
    try {
      return await run()
    } catch (error) {
      if ((error as { code?: string }).code !== '55006' || tries === TRIES) throw error
    }
  }
}

/** Each waits 5 s by itself. */
const TRIES = 5

/** Makes an empty database of this name, whose coordinator knows the workers; gives its URL. */
export async function createOnNodes(name: string): Promise<string> {
  await onEveryNode(`drop database if exists ${name} with (force)`)
  await onEveryNode(`create database ${name} template template0`)
  const urls = citusNodes().map(({ url }) => urlOf(url, name))
  await Promise.all(urls.map((url) => withSql(url, (sql) => sql`create extension citus`)))
  await withSql(urls[0]!, async (sql) => {
    const [coordinator, ...workers] = citusNodes()
    await sql`select citus_set_coordinator_host(${coordinator!.host}, ${coordinator!.port})`
    for (const { host, port } of workers) await sql`select citus_add_node(${host}, ${port})`
  })
  return urls[0]!
}

/** Makes a database of this name migrated and distributed, with nobody connected to it. */
export async function createDistributed(name: string, shards: number): Promise<void> {
  await withSql(await createOnNodes(name), async (sql) => {
    await migrate(sql, shards)
    await distribute(sql, shards)
  })
  // Citus' own process stays connected, and a database in use can't be cloned.
  await onEveryNode(`
    select pg_terminate_backend(a.pid, 10000) from pg_stat_activity a where a.datname = '${name}'`)
}

export function urlOf(server: string, database: string): string {
  const url = new URL(server)
  url.pathname = `/${database}`
  return url.href
}

async function withSql<Value>(url: string, run: (sql: Sql) => Promise<Value>): Promise<Value> {
  const sql = connectAsOwner({ url })
  try {
    return await run(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}
