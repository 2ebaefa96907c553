import { swagger } from '@elysiajs/swagger'
import { Elysia } from 'elysia'
import { readFromPackage, readShipped } from '../../platform/shipped/files.ts'
import type { Admission, AnonymousContext } from '../admission.ts'
import { type Asset, policyOf, toAsset } from '../asset.ts'
import { toOpenApi } from './document.ts'

const hidden = { detail: { hide: true } }

/** The files of Swagger UI that the page loads, and their types. */
const UI_FILES = {
  'swagger-ui.css': 'text/css',
  'swagger-ui-bundle.js': 'text/javascript',
}

/**
 * Serves GET /swagger/json, the OpenAPI 3.0 document, and GET /swagger, Swagger UI with that
 * document. The page loads nothing from other hosts.
 */
export function swaggerRoutes(basePath: string, admission: Admission) {
  const plugin = swagger({ path: '/swagger', documentation })
  const describeRoutes = plugin.routes.find(({ path }) => path === '/swagger/json')!
  const app = new Elysia({ name: 'swagger-routes' }).use(plugin)
  /** Adds a route of an asset that is made on the first request. */
  const serve = (path: string, make: () => Asset) => {
    let asset: Asset | undefined
    const answer = ({ request }: AnonymousContext) => {
      asset ??= make()
      return asset(request)
    }
    app.get(path, (context) => admission.admitQuick(context, () => answer(context)), hidden)
  }

  // These two replace the plugin's routes: its page loads a script from another host.
  serve('/swagger', () =>
    toAsset(readOwn('page.html').replaceAll('$base', basePath), 'text/html; charset=utf-8', {
      'content-security-policy': policyOf("'self' data:"),
    }),
  )
  serve('/swagger/json', () => {
    // On the first request, all routes are registered.
    const document = toOpenApi((describeRoutes.handler as () => object)(), basePath)
    return toAsset(JSON.stringify(document), 'application/json')
  })
  serve('/swagger/page.js', () => toAsset(readOwn('page.js'), 'text/javascript; charset=utf-8'))
  for (const [name, type] of Object.entries(UI_FILES)) {
    serve(`/swagger/${name}`, () =>
      toAsset(readFromPackage('swagger-ui-dist', name), `${type}; charset=utf-8`),
    )
  }
  return app
}

const readOwn = (name: string) => readShipped(`src/http/openapi/${name}`)

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
      name: 'Bookkeeping',
      description: 'Opening balances and corrections: entries in the log, like flushes.',
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
    { name: 'Sources', description: 'Who posts flushes, and which of them are missing' },
    { name: 'Webhooks', description: 'Where events of rules are sent.' },
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
