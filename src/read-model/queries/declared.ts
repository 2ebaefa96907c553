import type { Positions } from '../../events/positions.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
import { isFound, type Page, type PageRequest, toKeyset, toPage } from './keyset-page.ts'
import { liveGeneration } from './live-source.ts'

/**
 * A dimension or a measure; a retired one has the time at which it was retired (RFC 3339). The unit
 * of a measure is null if it has none.
 */
export type Declared = { name: string; unit?: string | null; ended_at?: string }

/** The only column by which they can be sorted. */
export const DECLARED_SORTS = { name: 'text' } as const

/** Reads dimensions or measures, now or as of the positions `past`. */
export async function readDeclared(
  transaction: Transaction,
  kind: 'dimension' | 'measure',
  past: Positions | null,
  request: PageRequest,
): Promise<Page<Declared>> {
  const { cut } = toKeyset(transaction, request, DECLARED_SORTS, 'name')
  const generation = liveGeneration(transaction, 'catalog')
  const unit = kind === 'measure' ? transaction`d.unit` : transaction`null::text`
  const current = () => transaction`
    select r.* from ${transaction(`${kind}s`)} r where r.generation = ${generation}`
  const versions = (through: number) => transaction`
    select distinct on (v.name) v.*
    from ${transaction(`${kind}_versions`)} v
    where v.generation = ${generation} and v.position <= ${through}
    order by v.name, v.position desc`
  const rows = await transaction<{ name: string; unit: string | null; ended_at: string | null }[]>`
    select c.name, c.unit, ${transaction.unsafe(toMicroseconds('c.ended_at'))} as ended_at
    from (
      select d.name collate "C" as name, ${unit} as unit, d.ended_at
      from (${past === null ? current() : versions(past[0]!)}) d
    ) c
    where ${request.ended ? transaction`true` : transaction`c.ended_at is null`}
      and ${isFound(transaction, ['name'], request)}
      and ${cut}`
  return toPage(
    rows,
    request,
    ({ name }) => [name, name],
    ({ name, unit, ended_at }) => ({
      name,
      ...(kind === 'measure' && { unit }),
      ...(ended_at !== null && { ended_at }),
    }),
  )
}
