import { Semaphore } from '../../../platform/async/semaphore.ts'
import { api, unwrap } from '../api.ts'
import { type AsOf, isPast, useAsOf } from '../as-of.ts'
import { Sparkline } from '../parts/sparkline.tsx'
import { useRead } from '../use-read.ts'

/** Reads at once: a page of groups asks for thirty. */
const semaphore = new Semaphore(3)
/** Milliseconds between two reads of one group. */
const EVERY_MS = 60_000

/** How the requests of a group went in the 24 hours before. */
export function GroupTrend({ id }: { id: number }) {
  const asOf = useAsOf()
  const { value } = useRead(
    `trend ${id} ${JSON.stringify(asOf)}`,
    (signal) =>
      semaphore.run(() => {
        // Its turn came when nobody looks any more.
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
