import { recordedAt } from '../log/read.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { Message } from './send.ts'
import { sign } from './signature.ts'

/** What is sent of an event, whatever the webhook: its id and the body. */
export type Content = { id: string; body: string }

const TYPES: Record<string, string> = { RuleCrossed: 'rule.crossed', RuleCleared: 'rule.cleared' }

/** Digits of a payload's hash in an id: another log may have another event at the same position. */
const HASH_LENGTH = 12

/** Reads events of rules, by their positions in shard 0, as they are sent. */
export async function readContents(
  sql: Sql,
  positions: readonly number[],
): Promise<Map<number, Content>> {
  if (positions.length === 0) return new Map()
  const rows = await sql<
    { position: string; type: string; recorded_at: string; sha256: string; payload: string }[]
  >`
    select
      e.position, e.type, ${recordedAt(sql)}, encode(e.payload_sha256, 'hex') as sha256,
      e.payload::text as payload
    from events e
    where e.shard = 0 and e.position in ${sql(positions)}`
  return new Map(
    rows.map(({ position, type, recorded_at, sha256, payload }) => {
      const data = { position: `0/${position}`, ...JSON.parse(payload) }
      const body = JSON.stringify({ type: TYPES[type], timestamp: recorded_at, data })
      return [Number(position), { id: `evt_0_${position}_${sha256.slice(0, HASH_LENGTH)}`, body }]
    }),
  )
}

/** Returns what a test delivery sends. */
export function testContent(name: string, now: Date): Content {
  const data = { webhook: name }
  return {
    id: `test_${name}_${now.getTime()}`,
    body: JSON.stringify({ type: 'webhook.test', timestamp: now.toISOString(), data }),
  }
}

/** Returns the request of an attempt at a time (Unix seconds). */
export function toMessage(
  { url, secrets }: { url: string; secrets: readonly string[] },
  { id, body }: Content,
  timestamp: number,
): Message {
  return {
    url,
    body,
    headers: {
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': sign(secrets, { id, timestamp, body }),
    },
  }
}
