import { hashPayload, versionOf } from '../events/event.ts'
import { SERVICE_SOURCE } from '../events/statement.ts'
import { retryOvertaken } from '../log/overtaken.ts'
import { ownClock } from '../platform/postgres/clock.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { RuleEvent } from './crossings.ts'

/**
 * Appends an event of a rule that was decided when the newest one was at `before` (-1: there was
 * none). Returns its position in shard 0, or null, and appends nothing, if there is a newer one.
 *
 * Failed and not stored, and failed but stored (the answer was lost), look alike: the next
 * evaluation reads what is crossed.
 */
export async function appendRuleEvent(
  sql: Sql,
  before: number,
  event: RuleEvent,
): Promise<number | null> {
  const { rule, subject } = event.data
  const text = JSON.stringify(event.data)
  const [row] = await retryOvertaken(
    () => sql<{ position: string | null }[]>`
      select append_rule_event(
        ${before}::bigint, ${event.type}, ${versionOf(event)}::smallint, ${SERVICE_SOURCE},
        ${text}, ${hashPayload(text)}, ${rule.name}, ${subject.kind}, ${subject.id},
        ${ownClock(sql)}
      ) as position`,
  )
  return row!.position === null ? null : Number(row!.position)
}
