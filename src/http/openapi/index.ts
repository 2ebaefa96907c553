import { readFileSync } from 'node:fs'
import { swagger } from '@elysiajs/swagger'
import { Elysia } from 'elysia'
import { type Asset, policyOf, toAsset } from '../asset.ts'
import type { AnonymousContext, Places } from '../places.ts'
import { toOpenApi } from './document.ts'
import { toPage } from './page.ts'

const hidden = { detail: { hide: true } }

/** Serves GET /swagger/json, the OpenAPI 3.0 document, and GET /swagger, a page that shows it. */
export function swaggerRoutes(basePath: string, places: Places) {
  const plugin = swagger({ path: '/swagger', documentation })
  const describeRoutes = plugin.routes.find(({ path }) => path === '/swagger/json')!
  let made: { json: Asset; page: Asset } | undefined
  /** Called once, on the first request: by then all routes are registered. */
  const make = () => {
    const document = toOpenApi((describeRoutes.handler as () => object)(), basePath)
    made = {
      json: toAsset(JSON.stringify(document), 'application/json'),
      page: toAsset(toPage(document, basePath), 'text/html; charset=utf-8', {
        'content-security-policy': policyOf('data:'),
      }),
    }
    return made
  }
  const answer = (context: AnonymousContext, get: () => Asset) =>
    places.takeQuick(context, () => get()(context.request))
  const script = toAsset(readText('page.js'), 'text/javascript; charset=utf-8')
  const style = toAsset(readText('page.css'), 'text/css; charset=utf-8')

  return (
    new Elysia({ name: 'swagger-routes' })
      .use(plugin)
      // The first two replace the plugin's routes: its page loads a script from another host.
      .get('/swagger', (context) => answer(context, () => (made ?? make()).page), hidden)
      .get('/swagger/json', (context) => answer(context, () => (made ?? make()).json), hidden)
      .get('/swagger/page.js', (context) => answer(context, () => script), hidden)
      .get('/swagger/page.css', (context) => answer(context, () => style), hidden)
  )
}

const readText = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8')

const documentation = {
  info: {
    title: 'Tallybook',
    version: '1',
    description:
      'Event-sourced usage statistics for API gateways. Every error is an RFC 9457 problem with ' +
      'a stable `error` member.',
  },
  tags: [
    { name: 'Data plane', description: 'Endpoints to which gateways post the usage they counted.' },
    {
      name: 'Catalog',
      description: 'The provider groups, API keys and token keys whose usage is counted.',
    },
    {
      name: 'Admin reads',
      description:
        'Counters and usage of the catalog, and the state of the service. A read of counters ' +
        'reflects every flush that was acknowledged before the request began.',
    },
    {
      name: 'Sessions',
      description: 'Browser sessions, which the console uses instead of a token.',
    },
    {
      name: 'Tokens',
      description: 'Tokens for clients of this service, in addition to its three fixed tokens.',
    },
    { name: 'Audit', description: 'Read access to the event log.' },
    {
      name: 'Transparency log',
      description: 'The log as a signed Merkle tree, its proofs, and attestations of the totals.',
    },
    {
      name: 'Verifications',
      description: 'Checks of the whole database, which run while the service is in use.',
    },
    { name: 'Operations', description: 'Endpoints for health probes and Prometheus.' },
  ],
  components: {
    securitySchemes: {
      token: {
        type: 'http' as const,
        scheme: 'bearer',
        description:
          'Every token has one role: `dp` posts flushes, `admin` changes the catalog and reads, ' +
          '`auditor` only reads. The `x-roles` of an operation lists the roles it accepts.',
      },
    },
  },
}
