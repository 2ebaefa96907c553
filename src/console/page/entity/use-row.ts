import type { Answer } from '../api.ts'
import { type AsOf, isPast, useAsOf } from '../as-of.ts'
import { unwrapWithPosition } from '../page-position.ts'
import { useRead } from '../use-read.ts'

/** Reads one row of the catalog with its counters, ended or not, at the page's as-of. */
export function useRow<Row>(
  key: string,
  ask: (query: AsOf & { ended: 'true' }) => Promise<Answer<Row>>,
) {
  const asOf = useAsOf()
  return useRead(
    `${key} ${JSON.stringify(asOf)}`,
    () => unwrapWithPosition(ask({ ended: 'true', ...asOf })),
    { everyMs: isPast(asOf) ? null : 1_000 },
  )
}
