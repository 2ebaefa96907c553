import type { Sql } from '../../platform/postgres/pool.ts'
import { readRuleEvents } from '../../rules/crossings.ts'
import { listDeliveries } from '../../webhooks/outbox.ts'

/** Reads the newest deliveries with what their events say. */
export async function readDeliveries(sql: Sql, request: { webhook: string | null; limit: number }) {
  const rows = await listDeliveries(sql, request)
  const positions = [...new Set(rows.map(({ position }) => Number(position)))]
  const events = await readRuleEvents(sql, positions)
  return rows.map(({ webhook, position, ...state }) => {
    const { type, data } = events.get(Number(position))!
    const { rule, subject } = data
    return { webhook, position: `0/${position}`, type, rule: rule.name, subject, ...state }
  })
}
