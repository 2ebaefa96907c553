import { type Static, Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { type CatalogWriter, changeCatalog, type DecideChange } from '../../log/catalog/change.ts'
import type { Admission, ChangeContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import type { BodyReader } from '../body.ts'
import { describe } from '../openapi.ts'
import { EXAMPLE_HASH, HashParams, NameParams, RowParams } from '../params.ts'
import { Problem } from '../problem.ts'
import { idOf } from '../row-id.ts'
import { TOO_MANY_DIMENSIONS, TOO_MANY_MEASURES } from './declared.ts'
import { CONFLICT } from './merge.ts'
import { CatalogBody, INVALID_CATALOG, parseCatalog } from './model.ts'
import { type PutOutcome, putRows } from './put.ts'
import { TOO_MANY_RULES } from './rules.ts'

type Options = {
  catalogWriter: CatalogWriter
  /** Parses and appends a large change on another thread; then the catalog must be refreshed. */
  changeLarge: (body: Uint8Array, source: string) => Promise<PutOutcome>
  bodies: BodyReader
  admission: Admission
  /** Called when shard 0 has grown up to `position`. */
  onChanged: (shard: number, position: number) => void
}

/** Serves PUT /admin/catalog, and DELETE for each kind of row. */
export function catalogRoutes(
  guard: ReturnType<typeof auth>,
  { catalogWriter, changeLarge, bodies, admission, onChanged }: Options,
) {
  const toHeaders = (position: number) => {
    onChanged(0, position)
    return { 'tallybook-position': `0/${position}` }
  }
  /**
   * Appends the change and returns its position as a header. Throws problem 404 if the row to
   * retire doesn't exist.
   */
  const change = async (
    context: ChangeContext,
    decide: DecideChange,
  ): Promise<Record<string, string>> => {
    const { name } = context.principal
    const position = await admission.admitChange(context, () =>
      changeCatalog(catalogWriter, name, decide),
    )
    if (position === null) throw new Problem(404, 'not found')
    return toHeaders(position)
  }
  const answer = (outcome: PutOutcome) => {
    if ('error' in outcome) throw new Problem(outcome.status, outcome.error, outcome.detail)
    return { headers: toHeaders(outcome.position), counts: outcome.counts }
  }
  const put = async (context: ChangeContext, text: string) => {
    const body = parseCatalog(text)
    if (typeof body === 'string') throw new Problem(400, INVALID_CATALOG, body)
    const { name } = context.principal
    return answer(await admission.admitChange(context, () => putRows(catalogWriter, name, body)))
  }
  const putLarge = async (context: ChangeContext, bytes: Uint8Array) => {
    const { name } = context.principal
    const answered = answer(await admission.admitChange(context, () => changeLarge(bytes, name)))
    await catalogWriter.refresh()
    return answered
  }

  return new Elysia({ name: 'catalog' })
    .use(guard)
    .put(
      '/admin/catalog',
      async (context) => {
        const { request, set, principal } = context
        const asking = { request, principal }
        const read = await bodies.read(request, principal.name, (bytes) => putLarge(asking, bytes))
        const { headers, counts } = typeof read === 'string' ? await put(asking, read) : read
        Object.assign(set.headers, headers)
        return counts
      },
      { parse: 'none', roles: ['admin'], detail: putDetail },
    )
    .delete(
      '/admin/provider-groups/:id',
      async (context) => {
        const { id } = context.params
        const headers = await change(context, (catalog) => {
          const row = catalog.providerGroups.get(idOf(id, catalog.externalIds.providerGroups))
          return row ? { upserted: {}, ended: { provider_groups: [row] } } : null
        })
        return new Response(null, { status: 204, headers })
      },
      {
        parse: 'none',
        params: RowParams,
        roles: ['admin'],
        detail: retireDetail('a provider group'),
      },
    )
    .delete(
      '/admin/api-keys/:id',
      async (context) => {
        const { id } = context.params
        const headers = await change(context, (catalog) => {
          const row = catalog.apiKeys.get(idOf(id, catalog.externalIds.apiKeys))
          return row ? { upserted: {}, ended: { api_keys: [row] } } : null
        })
        return new Response(null, { status: 204, headers })
      },
      { parse: 'none', params: RowParams, roles: ['admin'], detail: retireDetail('an API key') },
    )
    .delete(
      '/admin/keys/:token_hash',
      async (context) => {
        const { params } = context
        const headers = await change(context, (catalog) => {
          const row = catalog.keys.get(params.token_hash)
          return row ? { upserted: {}, ended: { keys: [row] } } : null
        })
        return new Response(null, { status: 204, headers })
      },
      { parse: 'none', params: HashParams, roles: ['admin'], detail: retireDetail('a token key') },
    )
    .delete(
      '/admin/dimensions/:name',
      async (context) => {
        const { name } = context.params
        const headers = await change(context, (catalog) =>
          catalog.dimensions.has(name) ? { upserted: {}, ended: { dimensions: [{ name }] } } : null,
        )
        return new Response(null, { status: 204, headers })
      },
      { parse: 'none', params: NameParams, roles: ['admin'], detail: retireDetail('a dimension') },
    )
    .delete(
      '/admin/measures/:name',
      async (context) => {
        const { name } = context.params
        const headers = await change(context, (catalog) => {
          const row = catalog.measures.get(name)
          return row ? { upserted: {}, ended: { measures: [row] } } : null
        })
        return new Response(null, { status: 204, headers })
      },
      { parse: 'none', params: NameParams, roles: ['admin'], detail: retireDetail('a measure') },
    )
    .delete(
      '/admin/rules/:name',
      async (context) => {
        const { name } = context.params
        const headers = await change(context, (catalog) => {
          const row = catalog.rules.get(name)
          return row ? { upserted: {}, ended: { rules: [row] } } : null
        })
        return new Response(null, { status: 204, headers })
      },
      { parse: 'none', params: NameParams, roles: ['admin'], detail: endRuleDetail },
    )
}

/** The values of a 503 that a change of the catalog can answer besides the common ones. */
const CATALOG_VALUES = ['catalog busy', 'newer events', 'log changed', 'worker ended']

const putDetail = describe({
  tag: 'Catalog',
  summary: 'Add or change provider groups, API keys and token keys',
  description:
    'Applies all rows or none. An absent or null field keeps its current value. A row is named ' +
    'by its `id`, by its `external_id`, or by both; a new row without an `id` gets the next one. ' +
    'An `external_id` stays with its row: a change that would replace or move one is 409. ' +
    'A rule (docs/guides/rules.md) is replaced as a whole. ' +
    'The change applies to every flush posted after the response, on every instance.',
  body: {
    schema: CatalogBody,
    example: {
      provider_groups: [{ id: 1, name: 'openai' }],
      api_keys: [{ id: 7, external_id: 'sk-9f', group_id: 1, name: 'checkout' }],
      keys: [{ token_hash: EXAMPLE_HASH, quota_limit: 1000, name: 'ci', quota_period: 'month' }],
    } satisfies Static<typeof CatalogBody>,
  },
  ok: {
    description: 'The number of rows of each kind in the request',
    schema: Type.Object({
      provider_groups: Type.Integer(),
      api_keys: Type.Integer(),
      keys: Type.Integer(),
      dimensions: Type.Optional(Type.Integer()),
      measures: Type.Optional(Type.Integer()),
      rules: Type.Optional(Type.Integer()),
    }),
    example: { provider_groups: 1, api_keys: 1, keys: 1 },
  },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 408, 409, 413, 415, 503],
  errorValues: {
    409: [CONFLICT, TOO_MANY_DIMENSIONS, TOO_MANY_MEASURES, TOO_MANY_RULES],
    400: [INVALID_CATALOG, 'invalid request body'],
    503: [...CATALOG_VALUES, 'too many large bodies', 'stopping'],
  },
})

const endRuleDetail = describe({
  tag: 'Catalog',
  summary: 'End a rule',
  description: 'What has crossed it is cleared within seconds.',
  ok: { status: 204, description: 'Ended' },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 404, 503],
  errorValues: { 503: CATALOG_VALUES },
})

function retireDetail(what: string) {
  return describe({
    tag: 'Catalog',
    summary: `Retire ${what}`,
    description:
      'Stops counting; past usage is kept. Adding the row again with PUT /admin/catalog resumes ' +
      'its history.',
    ok: { status: 204, description: 'Retired' },
    headers: ['Tallybook-Position'],
    errors: [400, 401, 403, 404, 503],
    errorValues: { 503: CATALOG_VALUES },
  })
}
