import { Elysia } from 'elysia'
import { toExact } from '../../events/exact.ts'
import { formatPositions, type Positions, parsePositions } from '../../events/positions.ts'
import { explain, type Step } from '../../explain/page.ts'
import type { Counted } from '../../read-model/queries/contribution.ts'
import { readCounted } from '../../read-model/queries/counted.ts'
import { formatUnixSeconds } from '../../read-model/queries/keys.ts'
import type { Scope } from '../../read-model/queries/scope.ts'
import type { auth } from '../auth.ts'
import { findPositions, type ReadOptions } from '../counters/consistent-read.ts'
import { jsonResponse } from '../json.ts'
import { DEFAULT_LIMIT } from '../params.ts'
import { Problem } from '../problem.ts'
import { readScope } from '../usage/scope.ts'
import { detail } from './detail.ts'
import { ExplainQuery } from './model.ts'

/** Serves GET /audit/explain: the events that make up a total, with running totals. */
export function explainRoute(guard: ReturnType<typeof auth>, options: ReadOptions) {
  return new Elysia({ name: 'explain' }).use(guard).get(
    '/audit/explain',
    async (context) => {
      const { query } = context
      const scope = readScope(query)
      const { history, reads, shards, admission } = options
      const past = await findPositions(options, context, query)
      const to = past ?? (await admission.admitRead(context, () => history.positionsOf([])))!
      const after = readAfter(query.after, shards, to)
      const limit = Number(query.limit ?? DEFAULT_LIMIT)
      const { before, steps, next, total } = await admission.admitRead(context, () =>
        reads.readLog({ kind: 'events', positions: to }, async (sql) => ({
          ...(await explain({ sql, history }, scope, { after, through: to }, limit)),
          total: await readCounted({ sql, history }, scope, to),
        })),
      )
      return jsonResponse(
        {
          total: toFields(scope, total),
          before: toFields(scope, before),
          items: steps.map((step) => toItem(scope, step)),
          next_after: next === null ? null : formatPositions(next),
        },
        { 'tallybook-position': formatPositions(to) },
      )
    },
    { roles: ['admin', 'auditor'], query: ExplainQuery, detail },
  )
}

/** Returns the positions to start after; a shard that is left out starts before its first event. */
function readAfter(text: string | undefined, shards: number, to: Positions): Positions {
  const positions = text === undefined ? [] : parsePositions(text, shards)
  if (positions === null) {
    const detail = '`after` names a shard twice, or one that does not exist.'
    throw new Problem(400, 'invalid query', detail)
  }
  return to.map((end, shard) => Math.min(positions[shard] ?? -1, end))
}

function toItem(scope: Scope, { shard, position, type, recordedAt, source, ...step }: Step) {
  return {
    shard,
    position,
    type,
    recorded_at: recordedAt,
    source,
    idempotency_key: step.idempotencyKey,
    ...(step.countedAt !== null && { counted_at: formatUnixSeconds(step.countedAt) }),
    counted: toFields(scope, step.counted),
    running: toFields(scope, step.running),
  }
}

function toFields({ kind }: Scope, counted: Counted) {
  const [requests, second, third] = counted.map((value) => toExact(value.toString()))
  return kind === 'key'
    ? { requests, tokens: second, quota_used: third }
    : { requests, success_requests: second }
}
