import { Elysia } from 'elysia'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { Verifications } from '../../proofs/integrity/scheduled/run.ts'
import { listVerifications } from '../../proofs/integrity/scheduled/stored.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import { describe } from '../openapi.ts'
import { NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import { EXAMPLE, StartedBody, VerificationsBody, VerificationsQuery } from './model.ts'

/** Default number of verifications on a page. Each may list up to a thousand problems. */
const DEFAULT_LIMIT = 20

type Options = { pools: Pools; admission: Admission; verifications: Verifications }

/** Serves POST and GET /admin/verifications: checks of the whole database while it is in use. */
export function verificationRoutes(
  guard: ReturnType<typeof auth>,
  { pools, admission, verifications }: Options,
) {
  return new Elysia({ name: 'verifications' })
    .use(guard)
    .post(
      '/admin/verifications',
      async (context) => {
        const started = await admission.admitRead(context, () => verifications.start())
        if (typeof started === 'string') throw new Problem(409, 'verification running')
        context.set.status = 202
        return started
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: startDetail },
    )
    .get(
      '/admin/verifications',
      async (context) => {
        const { query } = context
        const limit = Number(query.limit ?? DEFAULT_LIMIT)
        const before = query.cursor === undefined ? null : Number(query.cursor)
        const rows = await admission.admitRead(context, () =>
          listVerifications(pools.read, { before, limit: limit + 1 }),
        )
        const items = rows.slice(0, limit)
        return { items, next_cursor: rows.length > limit ? String(items.at(-1)!.id) : null }
      },
      { roles: ['admin', 'auditor'], query: VerificationsQuery, detail: listDetail },
    )
}

const startDetail = describe({
  tag: 'Verifications',
  summary: 'Start a verification',
  description:
    'Checks every event and everything derived from the log, while the service stays in use. ' +
    'Only one verification runs at a time across all instances.',
  ok: {
    status: 202,
    description: 'Started; GET /admin/verifications shows its result',
    schema: StartedBody,
    example: { id: EXAMPLE.id, started_at: EXAMPLE.started_at },
  },
  errors: [400, 401, 403, 409, 503],
  errorValues: { 409: ['verification running'] },
})

const listDetail = describe({
  tag: 'Verifications',
  summary: 'List verifications and their results',
  ok: {
    description: 'A page, newest first',
    schema: VerificationsBody,
    example: { items: [EXAMPLE], next_cursor: null },
  },
  errors: [400, 401, 403, 503],
})
