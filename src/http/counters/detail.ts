import { describe, type ErrorStatus, READ_VALUES, type RouteDoc } from '../openapi.ts'
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

/** Describes a read of the catalog and its counters. */
export const read = (
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
      ...(more.includes(422) && { 422: ['usage by days'] }),
      503: READ_VALUES,
    },
  })

const group = { id: 1, external_id: null, name: 'openai', ...EXAMPLE_RATED }
const apiKeyExample = {
  id: 7,
  external_id: 'sk-9f',
  group_id: 1,
  name: 'checkout',
  ...EXAMPLE_RATED,
}
const page = (item: object) => ({ items: [item], next_cursor: null })

export const summary = read(
  {
    summary: 'Get the totals of all provider groups',
    description:
      'Includes retired groups. With `attested` the totals come from the newest ' +
      'ProjectionAttested events, which are part of the signed log.',
    ok: { description: 'The totals', schema: SummaryBody, example: EXAMPLE_RATED },
  },
  [404],
)
export const providerGroups = read({
  summary: 'List provider groups with their counters',
  ok: {
    description: 'A page of provider groups',
    schema: pageOf(ProviderGroupBody),
    example: page(group),
  },
})
export const providerGroup = read(
  {
    summary: 'Get a provider group',
    ok: { description: 'The provider group', schema: ProviderGroupBody, example: group },
  },
  [404],
)
export const apiKeys = read({
  summary: 'List API keys with their counters',
  ok: {
    description: 'A page of API keys',
    schema: pageOf(ApiKeyBody),
    example: page(apiKeyExample),
  },
})
export const apiKey = read(
  {
    summary: 'Get an API key',
    ok: { description: 'The API key', schema: ApiKeyBody, example: apiKeyExample },
  },
  [404],
)
export const keys = read(
  {
    summary: 'List token keys with their counters',
    ok: {
      description: 'A page of token keys',
      schema: pageOf(KeyBody),
      example: page(EXAMPLE_KEY),
    },
  },
  [422],
)
export const key = read(
  {
    summary: 'Get a token key',
    ok: { description: 'The token key', schema: KeyBody, example: EXAMPLE_KEY },
  },
  [404, 422],
)
