import { distribute } from '../../src/platform/postgres/citus/distribute.ts'
import { migrate } from '../../src/platform/postgres/migrate.ts'
import { connectAsOwner, type Sql } from '../../src/platform/postgres/pool.ts'

// Databases on a Citus cluster: each consists of a database of the same name on every node.

/** A node of the cluster: the URL of a maintenance database, and the node's host and port. */
type Node = { url: string; host: string; port: number }

/** The nodes of the run (see test/citus.ts), coordinator first; empty without Citus. */
export const citusNodes = (): Node[] => JSON.parse(process.env.TALLYBOOK_TEST_NODES ?? '[]')

/** Reads the nodes of a cluster from a database of its coordinator, coordinator first. */
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

/** Runs a statement on every node, in its maintenance database. */
export function onEveryNode(statement: string): Promise<unknown> {
  return Promise.all(
    citusNodes().map(({ url }) =>
      withSql(url, (sql) => retryWhileInUse(() => sql.unsafe(statement))),
    ),
  )
}

/** Retries while a database is in use: Citus' own process may reconnect while it is dropped. */
async function retryWhileInUse(run: () => Promise<unknown>): Promise<unknown> {
  for (let tries = 1; ; tries++) {
    try {
      return await run()
    } catch (error) {
      if ((error as { code?: string }).code !== '55006' || tries === TRIES) throw error
    }
  }
}

/** Attempts; PostgreSQL itself waits 5 s in each. */
const TRIES = 5

/** Creates an empty database on every node, registers the workers, and returns its URL. */
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

/** Creates a migrated, distributed database to which nothing is connected. */
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
