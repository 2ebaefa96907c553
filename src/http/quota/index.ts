import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { type Exhausted, readExhausted } from '../../quota/exhausted.ts'
import { hasPeriods } from '../../quota/kinds.ts'
import type { Page } from '../../read-model/queries/keyset-page.ts'
import type { auth } from '../auth.ts'
import { answerRead, type ReadOptions } from '../counters/consistent-read.ts'
import { readWithPeriods } from '../counters/keys.ts'
import { typedAs } from '../json.ts'
import { chooseType } from '../negotiation.ts'
import { describe, READ_VALUES } from '../openapi.ts'
import { DEFAULT_LIMIT, EXAMPLE_HASH, Limit, strict } from '../params.ts'
import { requestIdOf } from '../request-id.ts'
import type { ExhaustedStreams } from './streams.ts'

const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  vary: 'Accept',
  'cache-control': 'no-store',
  // Keeps proxies such as nginx from buffering the stream.
  'x-accel-buffering': 'no',
}

const ExhaustedQuery = Type.Object(
  {
    limit: Type.Optional(Limit),
    cursor: Type.Optional(
      Type.String({ maxLength: 4_096, description: 'The `next_cursor` of the previous page' }),
    ),
  },
  strict,
)

/** Serves GET /internal/quota/exhausted: the keys that have used their quota, once or live. */
export function quotaRoutes(
  guard: ReturnType<typeof auth>,
  options: ReadOptions & { exhausted: ExhaustedStreams },
) {
  return new Elysia({ name: 'quota' }).use(guard).get(
    '/internal/quota/exhausted',
    async (context) => {
      const { principal, request, query, set } = context
      if (chooseType(request, ['application/json', 'text/event-stream']) === 'text/event-stream') {
        const stream = options.exhausted.open(principal, requestIdOf(set))
        return typedAs<Page<Exhausted>>(new Response(stream, { headers: STREAM_HEADERS }))
      }
      const page = { limit: Number(query.limit ?? DEFAULT_LIMIT), cursor: query.cursor ?? null }
      const asked = { tokenHash: null, past: null, asOf: {} }
      return answerRead(null, () =>
        readWithPeriods(options, context, asked, async (transaction, source, periods) =>
          periods === null && (await hasPeriods(transaction, source, asked))
            ? 'periods'
            : readExhausted(transaction, source, page, periods),
        ),
      )
    },
    { roles: ['dp'], query: ExhaustedQuery, detail },
  )
}

const detail = describe({
  tag: 'Data plane',
  summary: 'List the token keys that have used their quota',
  description:
    'Keys whose `quota_used` has reached their `quota_limit`, without unlimited and retired ' +
    'ones. With `Accept: text/event-stream` a stream of server-sent events: `exhausted`, with ' +
    'such an item, for each key; `listed` when the list is complete; then, within two seconds of ' +
    'each change, the end of a period included, `exhausted` or `available`, with the ' +
    '`token_hash`. `exhausted` comes again for a key whose limit or `resets_at` changes.',
  ok: {
    description: 'A page of keys, or an endless stream',
    schema: Type.Object({
      items: Type.Array(
        Type.Object(
          {
            token_hash: Type.String(),
            quota_limit: Type.Integer({ minimum: 0 }),
            quota_used: Type.Integer({ minimum: 0, description: 'Exact, even above 2^53' }),
            resets_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
              description: 'When the quota begins anew; null if never',
            }),
          },
          { title: 'ExhaustedKey' },
        ),
      ),
      next_cursor: Type.Union([Type.String(), Type.Null()]),
    }),
    example: {
      items: [{ token_hash: EXAMPLE_HASH, quota_limit: 1000, quota_used: 1002, resets_at: null }],
      next_cursor: null,
    },
  },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 503],
  errorValues: {
    400: ['invalid request', 'invalid query'],
    503: [...READ_VALUES, 'too many streams', 'stopping'],
  },
})
