import { type Context, Elysia } from 'elysia'
import type { Books } from '../../bookkeeping/books.ts'
import { readCorrections } from '../../bookkeeping/corrections.ts'
import type { ActRefusal } from '../../bookkeeping/posted-act.ts'
import { EVERYTHING } from '../../read-model/queries/scope.ts'
import type { ChangeContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import type { BodyReader } from '../body.ts'
import { type ReadOptions, reflect } from '../counters/consistent-read.ts'
import { readIdempotencyKey } from '../idempotency-key.ts'
import { DEFAULT_LIMIT, HashParams, NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import * as details from './detail.ts'
import { type ActFault, type ActForm, CorrectionsQuery } from './model.ts'
import { type ActOutcome, type ActRequest, readAct, recordAct } from './record.ts'

type Options = ReadOptions & {
  books: Books
  bodies: BodyReader
  /** Records an act with a large body on another thread. */
  recordLarge: (act: ActRequest, body: Uint8Array) => Promise<ActOutcome | ActFault>
  /** Called when shard 0 has grown up to `position`. */
  onRecorded: (shard: number, position: number) => void
}

/** Serves POST /admin/balances and …/quota-reset, and POST and GET /admin/corrections. */
export function bookkeepingRoutes(guard: ReturnType<typeof auth>, options: Options) {
  const { books, bodies, recordLarge, admission, onRecorded } = options
  /** Records the act that a body describes, and sets the answer's status and headers. */
  const record = async (
    { request, principal, set }: ChangeContext & { set: Context['set'] },
    form: ActForm,
    tokenHash = '',
  ) => {
    const idempotencyKey = readIdempotencyKey(request)
    const act = { form, tokenHash, source: principal.name, idempotencyKey }
    const admit = (work: () => Promise<ActOutcome | ActFault>) =>
      admission.admitAct({ request, principal }, work)
    const read = await bodies.read(request, principal.name, (bytes) =>
      admit(() => recordLarge(act, bytes)),
    )
    const made = typeof read === 'string' ? recordText(act, read, admit) : read
    const { outcome, ...rest } = orThrow(await made)
    if (outcome.kind === 'unknown accounts' && rest.kind === 'reset') {
      throw new Problem(404, 'not found')
    }
    if (outcome.kind !== 'recorded') throw toProblem(outcome)
    onRecorded(0, outcome.position)
    const position = `0/${outcome.position}`
    const replayed = outcome.replayed && { 'idempotency-replayed': 'true' }
    Object.assign(set.headers, { 'tallybook-position': position, ...replayed })
    set.status = 201
    return { ...rest, position }
  }
  const recordText = (
    act: ActRequest,
    text: string,
    admit: (work: () => Promise<ActOutcome | ActFault>) => Promise<ActOutcome | ActFault>,
  ) => {
    const posted = orThrow(readAct(act, text))
    return admit(() => recordAct(books, act, posted))
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
        const { position, rows } = await record({ request, principal, set }, 'balances')
        return { position, ...rows }
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: details.open },
    )
    .post(
      '/admin/corrections',
      async ({ request, principal, set }) => {
        const { position, reversed } = await record({ request, principal, set }, 'correction')
        return reversed === null ? { position } : { position, reversed }
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: details.correct },
    )
    .post(
      '/admin/keys/:token_hash/quota-reset',
      async ({ request, principal, set, params }) => {
        const context = { request, principal, set }
        const { position } = await record(context, 'reset', params.token_hash)
        return { position }
      },
      {
        ...{ parse: 'none', roles: ['admin'], params: HashParams, query: NoQuery },
        detail: details.reset,
      },
    )
    .get(
      '/admin/corrections',
      (context) => {
        const { limit = DEFAULT_LIMIT, sort = '-position', ...query } = context.query
        const { cursor = null, reversed = null } = query
        const page = { limit: Number(limit), sort, cursor, reversed }
        return reflect(options, context, {}, EVERYTHING, (transaction) =>
          readCorrections(transaction, page),
        )
      },
      { roles: ['admin', 'auditor'], query: CorrectionsQuery, detail: details.corrections },
    )
}

function orThrow<Value extends object>(value: Value | ActFault): Value {
  if ('error' in value) throw new Problem(400, value.error, value.detail)
  return value
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
        'This Idempotency-Key was used for another request. This one was not recorded.',
      )
    default:
      return refusal satisfies never
  }
}
