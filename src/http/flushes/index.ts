import { Elysia } from 'elysia'
import type { PostedFlush } from '../../events/flush.ts'
import type { Log } from '../../log/log.ts'
import type { AppendOutcome } from '../../log/queue.ts'
import type { Principal } from '../../tokens/roles.ts'
import type { auth } from '../auth.ts'
import type { Bodies } from '../body.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { Problem, unavailable } from '../problem.ts'
import { apiKeyFlushDetail, keyFlushDetail } from './detail.ts'
import { parseApiKeyFlush, parseKeyFlush } from './model.ts'
import type { Refusal } from './refusal.ts'

type FlushOptions = { log: Pick<Log, 'append'>; metrics: Metrics; bodies: Bodies }

/** Where flushes are posted. */
export const FLUSH_PATHS = ['/internal/apikey-stats/flush', '/internal/stats/flush']

/** POST /internal/apikey-stats/flush and /internal/stats/flush. */
export function flushes(guard: ReturnType<typeof auth>, { log, metrics, bodies }: FlushOptions) {
  const post = async <Entries extends PostedFlush['entries']>(
    request: Request,
    headers: Record<string, string | number>,
    principal: Principal,
    parse: (text: string) => Entries | Refusal,
    toFlush: (entries: Entries) => PostedFlush,
  ) => {
    const idempotencyKey = readIdempotencyKey(request)
    const entries = parse(await bodies.read(request, principal.name))
    if ('error' in entries) throw new Problem(400, entries.error, entries.detail)
    const started = performance.now()
    const outcome = await log.append(toFlush(entries), principal.name, idempotencyKey)
    metrics.observeFlush(outcome, (performance.now() - started) / 1000)
    return answer(outcome, headers)
  }

  return new Elysia({ name: 'flushes' })
    .use(guard)
    .post(
      '/internal/apikey-stats/flush',
      ({ request, set, principal }) =>
        post(
          request,
          set.headers as Record<string, string>,
          principal,
          parseApiKeyFlush,
          (entries) => ({
            type: 'ApiKeyStatsFlushed',
            entries,
          }),
        ),
      { parse: 'none', roles: ['dp'], detail: apiKeyFlushDetail },
    )
    .post(
      '/internal/stats/flush',
      ({ request, set, principal }) =>
        post(
          request,
          set.headers as Record<string, string>,
          principal,
          parseKeyFlush,
          (entries) => ({
            type: 'KeyStatsFlushed',
            entries,
          }),
        ),
      { parse: 'none', roles: ['dp'], detail: keyFlushDetail },
    )
}

/** draft-ietf-httpapi-idempotency-key-header: absent, or 1 to 255 visible ASCII characters. */
function readIdempotencyKey(request: Request): string | null {
  const key = request.headers.get('idempotency-key')
  if (key === null || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw new Problem(
    400,
    'invalid idempotency key',
    'Idempotency-Key has 1 to 255 visible ASCII characters.',
  )
}

function answer(outcome: AppendOutcome, headers: Record<string, string | number>) {
  switch (outcome.kind) {
    case 'appended':
      headers['tallybook-position'] = `${outcome.shard}/${outcome.position}`
      if (outcome.replayed) headers['idempotency-replayed'] = 'true'
      return outcome.answer
    case 'key_reused':
      throw new Problem(
        422,
        'idempotency key reused',
        'This Idempotency-Key belongs to a flush with other entries; nothing was counted now.',
      )
    case 'unavailable':
      throw unavailable('log unavailable')
    default:
      return outcome satisfies never
  }
}
