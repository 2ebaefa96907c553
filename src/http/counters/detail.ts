import { describe, type ErrorStatus, type RouteDoc } from '../openapi.ts'
import {
  ApiKeyBody,
  EXAMPLE_KEY,
  EXAMPLE_RATED,
  KeyBody,
  ProviderGroupBody,
  pageOf,
  SummaryBody,
} from './model.ts'

const errors: ErrorStatus[] = [400, 401, 403, 503]

const read = (
  doc: Pick<RouteDoc, 'summary' | 'ok'> & { description?: string },
  more: ErrorStatus[] = [],
) =>
  describe({
    ...doc,
    tag: 'Admin reads',
    headers: ['Tallybook-Position'],
    errors: [...errors, ...more],
    errorValues: {
      400: ['invalid request', 'invalid query'],
      503: ['projections behind', 'database unavailable', 'busy'],
    },
  })

const group = { id: 1, name: 'openai', ...EXAMPLE_RATED }
const apiKeyExample = { id: 7, group_id: 1, name: 'checkout', ...EXAMPLE_RATED }
const page = (item: object) => ({ items: [item], next_cursor: null })

export const summary = read(
  {
    summary: 'Totals over all provider groups',
    description:
      'What ended groups have counted is in it. With `attested` they are those that the newest ' +
      'ProjectionAttested events say, which are in the signed log.',
    ok: { description: 'The totals', schema: SummaryBody, example: EXAMPLE_RATED },
  },
  [404],
)
export const providerGroups = read({
  summary: 'Provider groups with their counters',
  ok: { description: 'A page', schema: pageOf(ProviderGroupBody), example: page(group) },
})
export const providerGroup = read(
  {
    summary: 'One provider group',
    ok: { description: 'The group', schema: ProviderGroupBody, example: group },
  },
  [404],
)
export const apiKeys = read({
  summary: 'API keys with their counters',
  ok: { description: 'A page', schema: pageOf(ApiKeyBody), example: page(apiKeyExample) },
})
export const apiKey = read(
  {
    summary: 'One API key',
    ok: { description: 'The key', schema: ApiKeyBody, example: apiKeyExample },
  },
  [404],
)
export const keys = read({
  summary: 'Token keys with their counters',
  ok: { description: 'A page', schema: pageOf(KeyBody), example: page(EXAMPLE_KEY) },
})
export const key = read(
  {
    summary: 'One token key',
    ok: { description: 'The key', schema: KeyBody, example: EXAMPLE_KEY },
  },
  [404],
)
