import { Elysia } from 'elysia'
import type { Principal } from '../../auth/roles.ts'
import type { PostedFlush } from '../../events/flush.ts'
import type { Log } from '../../log/log.ts'
import type { AppendOutcome } from '../../log/queue.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import type { BodyReader } from '../body.ts'
import { readIdempotencyKey } from '../idempotency-key.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { Problem, unavailable } from '../problem.ts'
import type { RequestTracer } from '../tracer.ts'
import { apiKeyFlushDetail, keyFlushDetail } from './detail.ts'
import { parseFlush } from './model.ts'
import type { Refusal } from './refusal.ts'
import { readSequence } from './sequence.ts'

/** A flush whose body is too large to be parsed on this thread. */
export type LargeFlush = {
  type: PostedFlush['type']
  body: Uint8Array
  source: string
  idempotencyKey: string | null
  /** The header `Tallybook-Sequence`; null if there was none. */
  sequence: string | null
}

type FlushOptions = {
  log: Pick<Log, 'append'>
  /** True if unknown keys are registered, as the entries describe them. */
  withHints: boolean
  /** Parses and appends a large flush on another thread. */
  appendLarge: (flush: LargeFlush) => Promise<AppendOutcome | Refusal>
  metrics: Metrics
  /** null records no traces. */
  tracer: RequestTracer | null
  bodies: BodyReader
  admission: Admission
}

/** The paths to which flushes are posted. */
export const FLUSH_PATHS = ['/internal/apikey-stats/flush', '/internal/stats/flush']

/** Serves POST /internal/apikey-stats/flush and POST /internal/stats/flush. */
export function flushes(guard: ReturnType<typeof auth>, options: FlushOptions) {
  const { log, withHints, appendLarge, metrics, tracer, bodies, admission } = options
  const post = async (
    request: Request,
    headers: Record<string, string | number>,
    { name: source }: Principal,
    type: PostedFlush['type'],
  ) => {
    const idempotencyKey = readIdempotencyKey(request)
    const sequence = readSequence(request)
    let started = 0
    const read = await bodies.read(request, source, (body) => {
      started = performance.now()
      const append = () => appendLarge({ type, body, source, idempotencyKey, sequence })
      return tracer === null ? append() : tracer.stage(request, 'flush.worker', append)
    })
    const append = (text: string): Refusal | AppendOutcome | Promise<AppendOutcome> => {
      const parsing = tracer === null ? 0 : performance.now()
      const posted = parseFlush(type, text, withHints, sequence)
      started = performance.now()
      if ('error' in posted) return posted
      const outcome = log.append(posted, source, idempotencyKey)
      if (tracer !== null) tracer.noteFlush(request, posted, parsing)
      return outcome
    }
    const outcome =
      typeof read === 'string'
        ? await admission.admitFlush(source, request, read.length, () => append(read))
        : read
    if ('error' in outcome) throw new Problem(400, outcome.error, outcome.detail)
    metrics.observeFlush(outcome, (performance.now() - started) / 1000)
    return answer(outcome, headers)
  }

  return new Elysia({ name: 'flushes' })
    .use(guard)
    .post(
      '/internal/apikey-stats/flush',
      ({ request, set, principal }) =>
        post(request, set.headers as Record<string, string>, principal, 'ApiKeyStatsFlushed'),
      { parse: 'none', roles: ['dp'], detail: apiKeyFlushDetail },
    )
    .post(
      '/internal/stats/flush',
      ({ request, set, principal }) =>
        post(request, set.headers as Record<string, string>, principal, 'KeyStatsFlushed'),
      { parse: 'none', roles: ['dp'], detail: keyFlushDetail },
    )
}

/** The key may be that of a flush that has left the database, and can't be compared now. */
const archiveUnavailable = () =>
  unavailable('archive unavailable', 10, 'The first attempt may be in the archive. Retry.')

/** Characters of an undeclared name that are shown. */
const NAME_LENGTH = 80

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
        'This Idempotency-Key was used for a flush with other entries. Nothing was counted.',
      )
    case 'names_two_keys':
      throw new Problem(
        400,
        'invalid stats payload',
        `keys[${outcome.place}].api_key_id and .api_key do not name the same API key.`,
      )
    case 'undeclared':
      throw new Problem(
        400,
        'invalid stats payload',
        `keys[${outcome.place}].${outcome.name.slice(0, NAME_LENGTH)} is not declared. ` +
          'Declare it with PUT /admin/catalog.',
      )
    case 'counted_at_out_of_range':
      throw new Problem(
        400,
        'invalid stats payload',
        `counted_at is before ${outcome.earliest}, or more than 5 minutes ahead of the clock here.`,
      )
    case 'unavailable':
      if (outcome.reason === 'archive') throw archiveUnavailable()
      throw unavailable('log unavailable')
    default:
      return outcome satisfies never
  }
}
