import type { Sql } from '../../src/platform/postgres/pool.ts'
import type { SourceItem } from '../../src/sources/read.ts'
import { TOKENS } from '../support/service.ts'
import type { History } from './history.ts'

/** Checks that an instance shows as many flushes as the log has, and which numbers are missing. */
export async function checkSources(owner: Sql, url: string, history: History): Promise<void> {
  const headers = { authorization: `Bearer ${TOKENS.admin}` }
  const response = await fetch(`${url}/admin/sources/dp`, { headers })
  if (!response.ok) {
    history.violate(`sources: ${response.status} ${await response.text()}`)
    return
  }
  const { flushes, epochs } = (await response.json()) as SourceItem
  const rows = await owner<{ sequence: string | null }[]>`
    select e.payload ->> 'sequence' as sequence
    from events e
    where e.type in ('ApiKeyStatsFlushed', 'KeyStatsFlushed')`
  if (flushes !== rows.length) history.violate(`sources: ${flushes} flushes, not ${rows.length}`)
  const arrived = new Map<string, Set<number>>()
  for (const { sequence } of rows) {
    if (sequence === null) continue
    const [epoch = '', number] = sequence.split('/')
    arrived.set(epoch, (arrived.get(epoch) ?? new Set()).add(Number(number)))
  }
  if (epochs.length !== arrived.size) history.violate(`sources: ${epochs.length} epochs`)
  for (const { epoch, next, missing } of epochs) {
    const numbers = arrived.get(epoch) ?? new Set()
    const isMissing = (number: number) =>
      missing.some(([first, last]) => first <= number && number <= last)
    for (let number = 0; number < next; number++) {
      if (isMissing(number) === numbers.has(number))
        history.violate(`sources: ${epoch}/${number}, which is missing or not`)
    }
    if (next !== Math.max(...numbers) + 1) history.violate(`sources: ${epoch} continues at ${next}`)
  }
}
