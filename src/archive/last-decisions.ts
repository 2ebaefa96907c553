import { isAct, type LastDecisions } from '../events/act.ts'
import type { LineEvent } from '../events/event-line.ts'
import { isRuleEvent } from '../events/types/rule-events.ts'
import { isTokenEvent } from '../events/types/token-events.ts'
import type { Transaction } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'

/** True for events that only shard 0 can have. */
export const isOfShard0 = ({ type }: Pick<LineEvent, 'type'>) =>
  type === 'CatalogChanged' || isAct(type) || isRuleEvent(type) || isTokenEvent(type)

/**
 * Refuses a catalog change, an act or an event of a rule or a token outside shard 0. No append
 * writes one there, and its order among the others is unknown.
 */
export function refuseMisplaced(event: LineEvent): void {
  const { shard, position, type } = event
  if (shard === 0 || !isOfShard0(event)) return
  throw new UserError(
    `Nothing was imported. ${shard}/${position} is a ${type}: only shard 0 can have any.`,
  )
}

/** Notes an event of shard 0 at a position. */
export function noteDecision(last: LastDecisions, type: string, position: number): void {
  if (type === 'CatalogChanged') last.change = position
  else if (isAct(type)) last.act = position
}

/** Sets the catalog of every shard, and the newest act, which shard 0 has. */
export async function setLastDecisions(
  transaction: Transaction,
  { change: position, act }: LastDecisions,
): Promise<void> {
  const [change] = await transaction<{ sha256: string }[]>`
    select encode(e.payload_sha256, 'hex') as sha256
    from events e
    where e.shard = 0 and e.position = ${position}`
  await transaction`
    update shards s
    set catalog_position = ${position}, catalog_sha256 = decode(${change?.sha256 ?? null}, 'hex')`
  await transaction`update shards s set act_position = ${act} where s.shard = 0`
}
