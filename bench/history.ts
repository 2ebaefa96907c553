import { Catalog } from '../src/log/catalog/catalog.ts'
import { changeCatalog } from '../src/log/catalog/change.ts'
import { refreshCatalog } from '../src/log/catalog/refresh.ts'
import { Log } from '../src/log/log.ts'
import { migrate } from '../src/platform/postgres/migrate.ts'
import { connectAsOwner, openPools } from '../src/platform/postgres/pool.ts'
import { createCheckpoints } from '../src/read-model/projector/checkpoint.ts'
import type { Address } from './server.ts'
import { API_KEYS, makeCatalog, makeEntries } from './workload.ts'

/** Flushes in flight while a history is written. */
const IN_FLIGHT = 512

export type HistoryOptions = { keysPerFlush: number; apiKeys?: number }

/** A log with a catalog and flushes, appended as the service appends them. */
export type History = {
  /** Appends flushes until there are this many. */
  extendTo(flushes: number): Promise<void>
  close(): Promise<void>
}

export async function startHistory(
  address: Address,
  { keysPerFlush, apiKeys = API_KEYS }: HistoryOptions,
): Promise<History> {
  const owner = connectAsOwner(address)
  await migrate(owner, 1)
  await owner.end()
  const pools = openPools(address, 1)
  await createCheckpoints(pools.project)
  const catalog = new Catalog()
  const refresh = () => refreshCatalog(pools.append, catalog)
  const log = new Log({
    sql: pools.append,
    shards: 1,
    catalog,
    refreshCatalog: refresh,
    onAppended: () => {},
  })
  await changeCatalog({ sql: pools.append, catalog, refresh }, 'bench', () => ({
    upserted: makeCatalog(apiKeys),
    ended: {},
  }))
  let appended = 0
  const appendUpTo = async (flushes: number) => {
    while (appended < flushes) {
      appended++
      const entries = makeEntries(keysPerFlush, apiKeys)
      const outcome = await log.append({ type: 'ApiKeyStatsFlushed', entries }, 'bench', null)
      if (outcome.kind !== 'appended')
        throw new Error(`an append was not accepted: ${outcome.kind}`)
    }
  }
  return {
    extendTo: async (flushes) => {
      await Promise.all(Array.from({ length: IN_FLIGHT }, () => appendUpTo(flushes)))
    },
    close: async () => {
      await log.stop()
      await pools.close()
    },
  }
}
