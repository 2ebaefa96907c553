import { createHash, timingSafeEqual } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import type { Admission } from '../admission.ts'
import { readToken } from '../auth.ts'
import { describe } from '../openapi.ts'
import { Problem } from '../problem.ts'
import type { Metrics } from './metrics.ts'

/** Serves GET /metrics: for everyone, or only with `token` if one is set. */
export function metricsRoute(metrics: Metrics, admission: Admission, token: string | null) {
  return new Elysia({ name: 'metrics' }).get(
    '/metrics',
    async (context) => {
      const { request } = context
      if (token !== null && !isSame(token, readToken(request.headers.get('authorization')))) {
        throw new Problem(401, 'unauthorized', 'Send the token in TALLYBOOK_METRICS_TOKEN.', {
          'www-authenticate': 'Bearer realm="tallybook metrics"',
        })
      }
      return admission.admitQuick(context, async () => {
        const headers = { 'content-type': metrics.registry.contentType }
        return new Response(await metrics.render(), { headers })
      })
    },
    {
      detail: describe({
        tag: 'Operations',
        open: true,
        summary: 'Get metrics for Prometheus',
        description: 'Requires the token in TALLYBOOK_METRICS_TOKEN if that is set.',
        ok: {
          description: 'Metrics in the text exposition format',
          type: 'text/plain',
          schema: Type.String(),
          example: 'tallybook_flushes_total{outcome="appended"} 42\n',
        },
        errors: [401, 503],
      }),
    },
  )
}

const hash = (text: string) => createHash('sha256').update(text).digest()

const isSame = (expected: string, given: string | null) =>
  given !== null && timingSafeEqual(hash(expected), hash(given))
