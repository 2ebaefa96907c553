import { Adoptions } from '../../bookkeeping/adoption/adoptions.ts'
import { LogScans } from '../../bookkeeping/adoption/log-scans.ts'
import { MAX_USED } from '../../bookkeeping/adoption/used.ts'
import { Books } from '../../bookkeeping/books.ts'
import type { ActProjector } from '../../bookkeeping/newest-act.ts'
import { readAct, recordAct } from '../../http/bookkeeping/record.ts'
import { isTooDense, TOO_DENSE } from '../../http/dense.ts'
import { putKeys } from '../../http/unknown-keys/put.ts'
import type { CatalogWriter } from '../../log/catalog/change.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import { AsOfQueries } from '../../read-model/queries/as-of.ts'
import type { Jobs } from './messages.ts'

type Options = {
  pools: Pools
  shards: number
  projector: ActProjector
  writer: CatalogWriter
  adoptWithinMs: number
}

type ActJobs = Pick<Jobs, 'recordBody' | 'record' | 'adoptBody' | 'adopt' | 'stopReading'>

/** Creates the jobs that record large acts. */
export function createActJobs({ writer, adoptWithinMs, ...common }: Options): ActJobs {
  const { pools, shards } = common
  const history = new AsOfQueries(pools, shards)
  const books = new Books({ ...common, history, recordLarge: null })
  const limits = { maxUsed: MAX_USED, scans: new LogScans() }
  const adoptions = new Adoptions({ ...common, ...limits, adoptWithinMs })

  return {
    recordBody: async (act, body) => {
      const text = new TextDecoder().decode(body)
      if (isTooDense(text)) return TOO_DENSE
      const posted = readAct(act, text)
      return 'error' in posted ? posted : recordAct(books, act, posted)
    },
    record: (posted, source, idempotencyKey) => books.record(posted, source, idempotencyKey),
    adoptBody: async (body, source) => {
      const text = new TextDecoder().decode(body)
      if (isTooDense(text)) return { status: 400, ...TOO_DENSE }
      await writer.refresh()
      const put = await putKeys(writer, source, text)
      if ('error' in put) return put
      return { position: put.position, adopted: await adoptions.adopt(put.keys, source) }
    },
    adopt: (keys, source) => adoptions.adopt(keys, source),
    stopReading: async () => adoptions.stop(),
  }
}
