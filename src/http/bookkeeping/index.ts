import { Elysia } from 'elysia'
import type { ActRefusal, Books, PostedAct } from '../../bookkeeping/books.ts'
import { readCorrections } from '../../bookkeeping/corrections.ts'
import { EVERYTHING } from '../../read-model/queries/scope.ts'
import type { ChangeContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import type { BodyReader } from '../body.ts'
import { type ReadOptions, reflect } from '../counters/consistent-read.ts'
import { readIdempotencyKey } from '../idempotency-key.ts'
import { DEFAULT_LIMIT, NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import * as details from './detail.ts'
import {
  CorrectionsQuery,
  INVALID_BALANCES,
  INVALID_CORRECTION,
  parseBalances,
  parseCorrection,
} from './model.ts'

type Options = ReadOptions & {
  books: Books
  bodies: BodyReader
  /** Called when shard 0 has grown up to `position`. */
  onRecorded: (shard: number, position: number) => void
}

/** Serves POST /admin/balances, and POST and GET /admin/corrections. */
export function bookkeepingRoutes(guard: ReturnType<typeof auth>, options: Options) {
  const { books, bodies, admission, onRecorded } = options
  const record = async (context: ChangeContext, posted: PostedAct) => {
    const { request, principal } = context
    const idempotencyKey = readIdempotencyKey(request)
    const outcome = await admission.admitChange(context, () =>
      books.record(posted, principal.name, idempotencyKey),
    )
    if (outcome.kind !== 'recorded') throw toProblem(outcome)
    onRecorded(0, outcome.position)
    const position = `0/${outcome.position}`
    const replayed = outcome.replayed && { 'idempotency-replayed': 'true' }
    return { position, headers: { 'tallybook-position': position, ...replayed } }
  }

  return new Elysia({ name: 'bookkeeping' })
    .use(guard)
    .post(
      '/admin/balances',
      async ({ request, principal, set }) => {
        if (readIdempotencyKey(request) === null) {
          const detail = 'Opening balances need an Idempotency-Key.'
          throw new Problem(400, 'invalid idempotency key', detail)
        }
        const posted = parseBalances(await bodies.read(request, principal.name))
        if (typeof posted === 'string') throw new Problem(400, INVALID_BALANCES, posted)
        const { position, headers } = await record({ request, principal }, posted)
        Object.assign(set.headers, headers)
        set.status = 201
        const { provider_groups, api_keys, keys } = posted.opening
        return {
          position,
          provider_groups: provider_groups?.ids.length ?? 0,
          api_keys: api_keys?.ids.length ?? 0,
          keys: keys?.hashes.length ?? 0,
        }
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: details.open },
    )
    .post(
      '/admin/corrections',
      async ({ request, principal, set }) => {
        const posted = parseCorrection(await bodies.read(request, principal.name))
        if (typeof posted === 'string') throw new Problem(400, INVALID_CORRECTION, posted)
        const { position, headers } = await record({ request, principal }, posted)
        Object.assign(set.headers, headers)
        set.status = 201
        return {
          position,
          ...(posted.kind === 'reverse' && { reversed: `${posted.shard}/${posted.position}` }),
        }
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: details.correct },
    )
    .get(
      '/admin/corrections',
      (context) => {
        const { limit, sort = '-position', cursor = null } = context.query
        const page = { limit: limit === undefined ? DEFAULT_LIMIT : Number(limit), sort, cursor }
        return reflect(options, context, {}, EVERYTHING, (transaction) =>
          readCorrections(transaction, page),
        )
      },
      { roles: ['admin', 'auditor'], query: CorrectionsQuery, detail: details.corrections },
    )
}

function toProblem(refusal: ActRefusal): Problem {
  const named = 'accounts' in refusal ? refusal.accounts.join(', ') : ''
  switch (refusal.kind) {
    case 'unknown accounts':
      return new Problem(422, refusal.kind, `Not in the catalog: ${named}.`)
    case 'already open':
      return new Problem(409, refusal.kind, `Balances were opened before for: ${named}.`)
    case 'total out of range':
      return new Problem(
        409,
        refusal.kind,
        `A total would be below zero, or successes above requests, for: ${named}.`,
      )
    case 'no such event':
      return new Problem(404, 'not found', 'The log has no event at this position.')
    case 'counts nothing':
      return new Problem(
        422,
        refusal.kind,
        'Only flushes, opening balances and adjustments that count something can be reversed.',
      )
    case 'already reversed':
      return new Problem(409, refusal.kind, `It was reversed by 0/${refusal.position}.`)
    case 'idempotency key reused':
      return new Problem(
        422,
        refusal.kind,
        'This Idempotency-Key was used for another request. Nothing was recorded.',
      )
    default:
      return refusal satisfies never
  }
}
