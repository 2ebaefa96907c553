import { postingsOf, tryDecodeEvent, typesThatPostTo } from '../../events/event.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import type { Location } from '../../events/positions.ts'
import { isBackdated } from '../../log/read.ts'
import { type FoldableEvent, visitEvents } from '../../log/visit.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { beforeBlock, endOfBlock, endsBlock } from '../projections/backdated.ts'
import { createTotals } from '../projections/create-totals.ts'
import type { Totals } from '../projections/totals.ts'
import type { UsageRow } from '../projections/usage.ts'
import { backdatedParts, backdatedRows, type Scope } from './scope.ts'

/** Returns those of some places whose blocks are incomplete there and have rows in this scope. */
export async function findIncomplete(
  transaction: Transaction,
  scope: Scope,
  places: readonly Location[],
): Promise<Location[]> {
  const within = places.filter(({ position }) => position >= 0 && !endsBlock(position))
  if (within.length === 0) return []
  const isAny = within
    .map(({ shard, position }) => {
      const end = endOfBlock(position)
      return transaction`(u.shard = ${shard} and u.position = ${end})`
    })
    .reduce((all, one) => transaction`${all} or ${one}`)
  const rows = await transaction<{ shard: number; position: string }[]>`
    select u.shard, u.position from (${backdatedRows(transaction, scope)}) u where ${isAny}
    union
    select u.shard, u.position from (${backdatedParts(transaction, scope)}) u where ${isAny}`
  const ends = new Set(rows.map(({ shard, position }) => `${shard}/${position}`))
  return within.filter(({ shard, position }) => ends.has(`${shard}/${endOfBlock(position)}`))
}

/**
 * Folds what flushes counted in other quarter hours than their own, from the start of a block
 * through a position in it.
 */
export async function foldBlock(
  transaction: Transaction,
  { kind, account }: Scope,
  { shard, position }: Location,
): Promise<UsageRow[]> {
  const quarters = new Map<string, Totals>()
  const visit = ({ type, version, recordedAt, payload }: FoldableEvent) => {
    const event = tryDecodeEvent({ type, version, payload: payload! })
    for (const some of event === null ? [] : postingsOf(event, recordedAt)) {
      if (some.kind !== kind || some.countedAt === undefined) continue
      const start = startOfQuarterHour(some.countedAt!)
      const totals = quarters.get(start) ?? createTotals(kind)
      quarters.set(start, totals)
      totals.add(some)
    }
  }
  const range = { shard, after: beforeBlock(position), through: position }
  const isLate = transaction`
    e.type in ${transaction(typesThatPostTo(kind))} and ${isBackdated(transaction)}`
  await visitEvents(transaction, range, position - range.after, visit, false, isLate)
  return [...quarters].flatMap(([start, totals]) =>
    [...totals.slices()]
      .flat()
      .filter((total) => account === null || total.account === account)
      .map((total) => ({ ...total, start })),
  )
}
