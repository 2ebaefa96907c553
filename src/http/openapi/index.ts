import { readFileSync } from 'node:fs'
import { swagger } from '@elysiajs/swagger'
import { Elysia } from 'elysia'
import { type Asset, policyOf, toAsset } from '../asset.ts'
import type { AnonymousContext, Places } from '../places.ts'
import { toOpenApi } from './document.ts'
import { toPage } from './page.ts'

const hidden = { detail: { hide: true } }

/** GET /swagger/json: the API's description (OpenAPI 3.0). GET /swagger: a page that shows it. */
export function swaggerRoutes(basePath: string, places: Places) {
  const plugin = swagger({ path: '/swagger', documentation })
  const describeRoutes = plugin.routes.find(({ path }) => path === '/swagger/json')!
  let made: { json: Asset; page: Asset } | undefined
  /** Made once, on the first request: by then all routes are there. */
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
      // These two replace the plugin's: its page would load a script from elsewhere.
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
      'Event-sourced usage statistics for API gateways. Every error is an RFC 9457 problem whose ' +
      'member `error` is stable.',
  },
  tags: [
    { name: 'Data plane', description: 'Gateways post here what they have counted.' },
    { name: 'Catalog', description: 'Whose requests are counted: groups, API keys, token keys.' },
    {
      name: 'Admin reads',
      description:
        'The catalog with its counters. Each read reflects every flush that was acknowledged ' +
        'before it began.',
    },
    {
      name: 'Sessions',
      description: 'Browsers that are signed in: what the console uses instead of a token.',
    },
    { name: 'Tokens', description: 'Who may call this service, beside its three fixed tokens.' },
    { name: 'Audit', description: 'The log of events, as it stands.' },
    {
      name: 'Transparency log',
      description: 'The log as a signed Merkle tree, proofs, and what it says of the projections.',
    },
    { name: 'Verifications', description: 'The whole database checked, beside its use.' },
    { name: 'Operations', description: 'For probes and Prometheus; no token needed.' },
  ],
  components: {
    securitySchemes: {
      token: {
        type: 'http' as const,
        scheme: 'bearer',
        description:
          'A token has one role: `dp` posts flushes, `admin` manages the catalog and reads, ' +
          '`auditor` reads. Each operation names its roles in `x-roles`.',
      },
    },
  },
}
