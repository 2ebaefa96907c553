import type { Opening } from '../events/types/balances-opened.ts'
import type { Service } from './service.ts'

/** How opening balances of a move are marked in the `note` of their origin. */
export type Mark = { snapshot: string; batch: number; batches: number; areQuotasKept: boolean }

/** Opening balances that a move has recorded. */
export type MovedBatch = Mark & {
  position: number
  recordedAt: string
  source: string
  opening: Opening
  isReversed: boolean
}

const QUOTAS = { true: 'quotas kept', false: 'quotas dropped' }

/** Formats `snapshot 3f08… batch 2 of 5, quotas kept`, which `parseMark` reads. */
export const formatMark = ({ snapshot, batch, batches, areQuotasKept }: Mark): string =>
  `snapshot ${snapshot} batch ${batch} of ${batches}, ${QUOTAS[`${areQuotasKept}`]}`

/** Returns null for the note of opening balances that no move has recorded. */
export function parseMark(note: string | null): Mark | null {
  const parts = /^snapshot ([0-9a-f]{64}) batch (\d+) of (\d+), (quotas \w+)$/.exec(note ?? '')
  if (!parts) return null
  const [, snapshot, batch, batches, quotas] = parts
  const areQuotasKept = quotas === QUOTAS.true
  return { snapshot: snapshot!, batch: Number(batch), batches: Number(batches), areQuotasKept }
}

type EventsPage = {
  items: { position: number; recorded_at: string; source: string; payload: Opening }[]
  next_after: string | null
}

/** Reads all opening balances that moves of these systems recorded, in the order of the log. */
export async function readAllMoved(
  service: Service,
  systems: readonly string[],
): Promise<MovedBatch[]> {
  const moved: MovedBatch[] = []
  for (let after: string | null = '-1'; after !== null; ) {
    const path = `/audit/events?shard=0&type=BalancesOpened&limit=1000&after=${after}`
    const page: EventsPage = await service.send('GET', path)
    for (const { position, recorded_at, source, payload } of page.items) {
      const mark = parseMark(payload.origin.note)
      if (mark === null || !systems.includes(payload.origin.system)) continue
      const isReversed = await hasReversal(service, position)
      moved.push({
        ...mark,
        ...{ position, recordedAt: recorded_at, source, opening: payload, isReversed },
      })
    }
    after = page.next_after
  }
  return moved
}

/** Reads those that are not reversed. */
export async function readMoved(
  service: Service,
  systems: readonly string[],
): Promise<MovedBatch[]> {
  return (await readAllMoved(service, systems)).filter(({ isReversed }) => !isReversed)
}

async function hasReversal(service: Service, position: number): Promise<boolean> {
  const path = `/admin/corrections?reversed=0/${position}&limit=1`
  const { items } = await service.send<{ items: unknown[] }>('GET', path)
  return items.length > 0
}
