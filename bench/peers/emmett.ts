import type { Address } from '../server.ts'
import type { Storage } from './storage.ts'

/** The used part of @event-driven-io/emmett-postgresql, which bench/package.json installs. */
type Emmett = {
  getPostgreSQLEventStore(url: string): {
    appendToStream(stream: string, events: { type: string; data: unknown }[]): Promise<unknown>
    schema: { migrate(): Promise<unknown> }
  }
}

const PACKAGE = '@event-driven-io/emmett-postgresql'

/** Streams that flushes are spread over: more are slower to create, fewer conflict. */
const STREAMS = 1_024

/** An event store on PostgreSQL: one event per flush, appended without an expected version. */
export async function emmett({ host, port, user, database }: Address): Promise<Storage> {
  const { getPostgreSQLEventStore } = (await import(PACKAGE)) as Emmett
  const url = `postgresql://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`
  const store = getPostgreSQLEventStore(url)
  await store.schema.migrate()
  let appended = 0
  return {
    append: async (entries) => {
      const stream = `flushes-${appended++ % STREAMS}`
      await store.appendToStream(stream, [{ type: 'ApiKeyStatsFlushed', data: entries }])
    },
  }
}
