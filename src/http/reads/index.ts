import { Elysia } from 'elysia'
import type { PageRequest } from '../../projections/page.ts'
import { readKeys } from '../../projections/read-keys.ts'
import { readApiKeys, readProviderGroups } from '../../projections/read-rated.ts'
import { readSummary } from '../../projections/read-summary.ts'
import type { auth } from '../auth.ts'
import { DEFAULT_LIMIT, HashParams, IdParams } from '../params.ts'
import { type AttestedTotals, answerAttested } from './attested.ts'
import * as details from './detail.ts'
import { ApiKeysQuery, ItemQuery, KeysQuery, ProviderGroupsQuery, SummaryQuery } from './model.ts'
import { type ReadOptions, reflect } from './reflect.ts'

/** GET /admin/apikey-stats/summary, and the lists and rows of the catalog with their counters. */
export function reads(
  guard: ReturnType<typeof auth>,
  options: ReadOptions & { readAttested: () => Promise<AttestedTotals | null> },
) {
  const roles = ['admin', 'auditor'] as const
  return new Elysia({ name: 'reads' })
    .use(guard)
    .get(
      '/admin/apikey-stats/summary',
      async ({ query: { attested, ...asOf } }) =>
        attested === undefined
          ? reflect(options, asOf, { counters: 'groups' }, readSummary)
          : answerAttested(options.pools.read, asOf, await options.readAttested()),
      { roles, query: SummaryQuery, detail: details.summary },
    )
    .get(
      '/admin/provider-groups',
      ({ query }) =>
        reflect(options, query, { counters: 'groups' }, (transaction, source) =>
          readProviderGroups(transaction, source, { ...pageOf(query, 'id'), id: null }),
        ),
      { roles, query: ProviderGroupsQuery, detail: details.providerGroups },
    )
    .get(
      '/admin/provider-groups/:id',
      ({ params: { id }, query }) =>
        reflect(
          options,
          query,
          { counters: 'groups', only: Number(id) },
          async (transaction, source) => {
            const page = await readProviderGroups(transaction, source, {
              ...single(query, 'id'),
              id: Number(id),
            })
            return page.items[0] ?? null
          },
        ),
      { roles, params: IdParams, query: ItemQuery, detail: details.providerGroup },
    )
    .get(
      '/admin/api-keys',
      ({ query }) =>
        reflect(options, query, { counters: 'apiKeys' }, (transaction, source) => {
          const groupId = query.group_id === undefined ? null : Number(query.group_id)
          return readApiKeys(transaction, source, { ...pageOf(query, 'id'), id: null, groupId })
        }),
      { roles, query: ApiKeysQuery, detail: details.apiKeys },
    )
    .get(
      '/admin/api-keys/:id',
      ({ params: { id }, query }) =>
        reflect(
          options,
          query,
          { counters: 'apiKeys', only: Number(id) },
          async (transaction, source) => {
            const request = { ...single(query, 'id'), id: Number(id), groupId: null }
            return (await readApiKeys(transaction, source, request)).items[0] ?? null
          },
        ),
      { roles, params: IdParams, query: ItemQuery, detail: details.apiKey },
    )
    .get(
      '/admin/keys',
      ({ query }) =>
        reflect(options, query, { counters: 'keys' }, (transaction, source) =>
          readKeys(transaction, source, { ...pageOf(query, 'token_hash'), tokenHash: null }),
        ),
      { roles, query: KeysQuery, detail: details.keys },
    )
    .get(
      '/admin/keys/:token_hash',
      ({ params, query }) =>
        reflect(
          options,
          query,
          { counters: 'keys', only: params.token_hash },
          async (transaction, source) => {
            const request = { ...single(query, 'token_hash'), tokenHash: params.token_hash }
            return (await readKeys(transaction, source, request)).items[0] ?? null
          },
        ),
      { roles, params: HashParams, query: ItemQuery, detail: details.key },
    )
}

type ListQuery = {
  limit?: string
  cursor?: string
  sort?: string
  ended?: 'true'
  search?: string
}

function pageOf(query: ListQuery, id: string): PageRequest {
  return {
    limit: Number(query.limit ?? DEFAULT_LIMIT),
    sort: query.sort ?? id,
    cursor: query.cursor ?? null,
    ended: query.ended === 'true',
    search: query.search ?? null,
  }
}

const single = (query: { ended?: 'true' }, id: string): PageRequest =>
  pageOf({ ...query, limit: '1' }, id)
