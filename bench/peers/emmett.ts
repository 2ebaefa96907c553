import type { Address } from '../server.ts'
import type { Storage } from './storage.ts'

/** The part of @event-driven-io/emmett-postgresql that is used; it is installed beside the bench. */
type Emmett = {
  getPostgreSQLEventStore(url: string): {
    appendToStream(stream: string, events: { type: string; data: unknown }[]): Promise<unknown>
    schema: { migrate(): Promise<unknown> }
  }
}

const PACKAGE = '@event-driven-io/emmett-postgresql'

/** One stream for as many flushes: more would be slower to create, fewer would conflict. */
const STREAMS = 1_024

/** An event store on PostgreSQL: one event a flush, appended without an expected version. */
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
