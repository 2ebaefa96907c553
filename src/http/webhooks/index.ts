import { Elysia } from 'elysia'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { Outcome } from '../../webhooks/send.ts'
import {
  changeWebhook,
  createWebhook,
  deleteWebhook,
  listWebhooks,
  readTarget,
  rotateSecret,
  type Target,
} from '../../webhooks/store.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import type { BodyReader } from '../body.ts'
import { DEFAULT_LIMIT, NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import { readDeliveries } from './deliveries.ts'
import * as details from './detail.ts'
import { DeliveriesQuery, NameParams, parseChange, parseWebhook } from './model.ts'

type Options = {
  pools: Pools
  bodies: BodyReader
  admission: Admission
  /** `test` makes one attempt of a test delivery. */
  deliverer: { test(name: string, target: Target): Promise<Outcome> }
}

/** Serves what is under /admin/webhooks. */
export function webhookRoutes(
  guard: ReturnType<typeof auth>,
  { pools, bodies, admission, deliverer }: Options,
) {
  const found = <Value>(value: Value | null | false): Value => {
    if (value === null || value === false) throw new Problem(404, 'not found')
    return value
  }
  const nothing = () => new Response(null, { status: 204 })
  return new Elysia({ name: 'webhooks' })
    .use(guard)
    .post(
      '/admin/webhooks',
      async (context) => {
        const { request, set, principal } = context
        const body = parseWebhook(await bodies.read(request, principal.name))
        if (typeof body === 'string') throw new Problem(400, 'invalid webhook', body)
        const { name, url } = body
        const made = await admission.admitQuick(context, () =>
          createWebhook(pools.control, name, url),
        )
        if (made === 'name taken') throw new Problem(409, made, `The name ${name} is taken.`)
        if (made === 'too many') throw new Problem(409, 'too many webhooks', 'Delete others first.')
        set.status = 201
        set.headers['cache-control'] = 'no-store'
        return { name, url, ...made }
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: details.create },
    )
    .get(
      '/admin/webhooks',
      (context) =>
        admission.admitRead(context, async () => ({ items: await listWebhooks(pools.control) })),
      { roles: ['admin', 'auditor'], query: NoQuery, detail: details.list },
    )
    .get(
      '/admin/webhook-deliveries',
      (context) => {
        const { webhook = null, limit = DEFAULT_LIMIT } = context.query
        return admission.admitRead(context, async () => ({
          items: await readDeliveries(pools.control, { webhook, limit: Number(limit) }),
        }))
      },
      { roles: ['admin', 'auditor'], query: DeliveriesQuery, detail: details.deliveries },
    )
    .patch(
      '/admin/webhooks/:name',
      async (context) => {
        const { request, params, principal } = context
        const body = parseChange(await bodies.read(request, principal.name))
        if (typeof body === 'string') throw new Problem(400, 'invalid webhook', body)
        found(
          await admission.admitQuick(context, () =>
            changeWebhook(pools.control, params.name, body),
          ),
        )
        return nothing()
      },
      { parse: 'none', params: NameParams, roles: ['admin'], detail: details.change },
    )
    .post(
      '/admin/webhooks/:name/rotate',
      async (context) => {
        const rotated = await admission.admitQuick(context, () =>
          rotateSecret(pools.control, context.params.name),
        )
        context.set.headers['cache-control'] = 'no-store'
        return found(rotated)
      },
      { parse: 'none', params: NameParams, roles: ['admin'], detail: details.rotate },
    )
    .post(
      '/admin/webhooks/:name/test',
      async (context) => {
        const { name } = context.params
        const target = await admission.admitQuick(context, () => readTarget(pools.control, name))
        return deliverer.test(name, found(target))
      },
      { parse: 'none', params: NameParams, roles: ['admin'], detail: details.test },
    )
    .delete(
      '/admin/webhooks/:name',
      async (context) => {
        const { name } = context.params
        found(await admission.admitQuick(context, () => deleteWebhook(pools.control, name)))
        return nothing()
      },
      { parse: 'none', params: NameParams, roles: ['admin'], detail: details.remove },
    )
}
