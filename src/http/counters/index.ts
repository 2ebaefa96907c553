import { Elysia } from 'elysia'
import type { Transaction } from '../../platform/postgres/pool.ts'
import type { PageRequest } from '../../read-model/queries/keyset-page.ts'
import type { Source } from '../../read-model/queries/live-source.ts'
import { withMeasured } from '../../read-model/queries/measures.ts'
import {
  type RatedRequest,
  readApiKeys,
  readProviderGroups,
} from '../../read-model/queries/rated.ts'
import { EVERYTHING } from '../../read-model/queries/scope.ts'
import { readSummary } from '../../read-model/queries/summary.ts'
import type { RequestContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import { HashParams, RowParams } from '../params.ts'
import { type AttestedTotals, answerAttested } from './attested.ts'
import { type ReadOptions, reflect } from './consistent-read.ts'
import * as details from './detail.ts'
import { reflectKeys } from './keys.ts'
import { ApiKeysQuery, ItemQuery, KeysQuery, ProviderGroupsQuery, SummaryQuery } from './model.ts'
import { type ListQuery, toPageRequest } from './page-request.ts'

/** Serves GET /admin/apikey-stats/summary, and the catalog's lists and rows with their counters. */
export function counterRoutes(
  guard: ReturnType<typeof auth>,
  options: ReadOptions & {
    /** Returns the id that a path names. Throws problem 404 if no row has an external id. */
    findId: (
      context: RequestContext,
      text: string,
      kind: 'providerGroups' | 'apiKeys',
    ) => Promise<number>
    readAttested: () => Promise<AttestedTotals | null>
  },
) {
  const roles = ['admin', 'auditor'] as const
  return new Elysia({ name: 'reads' })
    .use(guard)
    .get(
      '/admin/apikey-stats/summary',
      async (context) => {
        const { attested, ...asOf } = context.query
        if (attested === undefined) {
          return reflect(options, context, asOf, EVERYTHING, readSummary)
        }
        return options.admission.admitRead(context, async () =>
          answerAttested(options.pools.read, asOf, await options.readAttested()),
        )
      },
      { roles, query: SummaryQuery, detail: details.summary },
    )
    .get(
      '/admin/provider-groups',
      (context) =>
        reflect(options, context, context.query, EVERYTHING, (transaction, source) =>
          readGroups(transaction, source, ratedPageOf(context.query)),
        ),
      { roles, query: ProviderGroupsQuery, detail: details.providerGroups },
    )
    .get(
      '/admin/provider-groups/:id',
      async (context) => {
        const id = await options.findId(context, context.params.id, 'providerGroups')
        const scope = { kind: 'provider_group', account: id } as const
        const request = { ...single(context.query, 'id'), id, externalId: null }
        return reflect(options, context, context.query, scope, async (transaction, source) => {
          const { items } = await readGroups(transaction, source, request)
          return items[0] ?? null
        })
      },
      { roles, params: RowParams, query: ItemQuery, detail: details.providerGroup },
    )
    .get(
      '/admin/api-keys',
      (context) =>
        reflect(
          options,
          context,
          context.query,
          { kind: 'api_key', account: null },
          (transaction, source) => {
            const groupId =
              context.query.group_id === undefined ? null : Number(context.query.group_id)
            return readKeysOfGroups(transaction, source, { ...ratedPageOf(context.query), groupId })
          },
        ),
      { roles, query: ApiKeysQuery, detail: details.apiKeys },
    )
    .get(
      '/admin/api-keys/:id',
      async (context) => {
        const id = await options.findId(context, context.params.id, 'apiKeys')
        const scope = { kind: 'api_key', account: id } as const
        const request = { ...single(context.query, 'id'), id, externalId: null, groupId: null }
        return reflect(options, context, context.query, scope, async (transaction, source) => {
          const { items } = await readKeysOfGroups(transaction, source, request)
          return items[0] ?? null
        })
      },
      { roles, params: RowParams, query: ItemQuery, detail: details.apiKey },
    )
    .get(
      '/admin/keys',
      (context) => {
        const request = { ...toPageRequest(context.query, 'token_hash'), tokenHash: null }
        return reflectKeys(options, context, context.query, request, (page) => page)
      },
      { roles, query: KeysQuery, detail: details.keys },
    )
    .get(
      '/admin/keys/:token_hash',
      (context) => {
        const { token_hash: tokenHash } = context.params
        const request = { ...single(context.query, 'token_hash'), tokenHash }
        return reflectKeys(
          options,
          context,
          context.query,
          request,
          ({ items }) => items[0] ?? null,
        )
      },
      { roles, params: HashParams, query: ItemQuery, detail: details.key },
    )
}

const readGroups = (transaction: Transaction, source: Source, request: RatedRequest) => {
  const reading = readProviderGroups(transaction, source, request)
  return withMeasured(transaction, source, 'provider_group', reading, ({ id }) => id)
}

const readKeysOfGroups = (...from: Parameters<typeof readApiKeys>) => {
  const [transaction, source] = from
  return withMeasured(transaction, source, 'api_key', readApiKeys(...from), ({ id }) => id)
}

const ratedPageOf = (query: ListQuery & { external_id?: string }): RatedRequest => ({
  ...toPageRequest(query, 'id'),
  id: null,
  externalId: query.external_id ?? null,
})

const single = (query: { ended?: 'true' }, id: string): PageRequest =>
  toPageRequest({ ...query, limit: '1' }, id)
