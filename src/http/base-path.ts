import type { Elysia } from 'elysia'
import { UserError } from '../platform/user-error.ts'
import type { Route } from './unmatched.ts'

/** Pages at which people arrive with a slash behind. */
const PAGES = ['/', '/swagger']

/**
 * Serves every route under `basePath` too, for a proxy that passes the prefix on; one that strips
 * it finds the routes as they are. Each is a route of its own, which Bun matches by the path as it
 * was sent: nothing is cut off a path, so none can become another. Call it when all routes are
 * there. Returns what is served then. Throws UserError if a path would be that of two routes.
 */
export function serveUnder(basePath: string, app: Pick<Elysia, 'router'>): Route[] {
  const { history } = app.router
  const routes = [...history]
  const first = (path: string) => path.split('/')[1]!
  if (basePath !== '' && routes.some(({ path }) => first(path) === first(basePath))) {
    throw new UserError(
      `TALLYBOOK_BASE_PATH can't begin with /${first(basePath)}, as paths of the service do. ` +
        'Choose another.',
    )
  }
  for (const route of routes) {
    // Hidden: the API's description names `basePath` once, as its server.
    const hidden = { ...route, hooks: { ...route.hooks, detail: { hide: true } } }
    if (basePath !== '') history.push({ ...hidden, path: basePath + route.path })
    if (!PAGES.includes(route.path)) continue
    for (const base of new Set(['', basePath])) {
      const path = `${base}${route.path}`.replace(/\/$/, '')
      if (path !== '') history.push({ ...hidden, path: `${path}//` })
    }
  }
  return history.map(({ method, path }) => ({ method, path: toServed(path) }))
}

/** Elysia takes one slash off the end of a path. */
export const toServed = (path: string): string => path.replace(/(?<=.)\/$/, '')
