import { Semaphore } from '../../../platform/async/semaphore.ts'
import { api, unwrap } from '../api.ts'
import { type AsOf, isPast, useAsOf } from '../as-of.ts'
import { Sparkline } from '../parts/sparkline.tsx'
import { useRead } from '../use-read.ts'

/** Limits concurrent reads: a page of groups requests thirty. */
const semaphore = new Semaphore(3)
/** Read interval (ms) of one group. */
const EVERY_MS = 60_000

/** Draws the requests of a group in the last 24 hours. */
export function GroupTrend({ id }: { id: number }) {
  const asOf = useAsOf()
  const { value } = useRead(
    `trend ${id} ${JSON.stringify(asOf)}`,
    (signal) =>
      semaphore.run(() => {
        // The group may have left the page while this read waited.
        signal.throwIfAborted()
        return loadTrend(id, asOf)
      }),
    { everyMs: isPast(asOf) ? null : EVERY_MS },
  )
  return <Sparkline values={value} label="Requests in the last 24 hours" />
}

async function loadTrend(id: number, asOf: AsOf) {
  const query = { group_id: String(id), ...asOf }
  const { value } = await unwrap(api.admin.usage.get({ query }))
  return value.items.map((item) => ('total_requests' in item ? item.total_requests : 0))
}
