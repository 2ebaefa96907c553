import type { Elysia } from 'elysia'
import { UserError } from '../platform/user-error.ts'
import type { Route } from './unmatched.ts'

/** Pages that people also open with a trailing slash. */
const PAGES = ['/', '/swagger']

/**
 * Also serves every route under `basePath`, for a proxy that forwards the prefix; a proxy that
 * strips it uses the routes as they are. Each is a separate route, which Bun matches by the path as
 * it was sent: no path is rewritten, so none can turn into another. Must be called after all routes
 * are registered. Returns all routes that are served. Throws UserError if two would share a path.
 */
export function serveUnder(basePath: string, app: Pick<Elysia, 'router'>): Route[] {
  const { history } = app.router
  const routes = [...history]
  const first = (path: string) => path.split('/')[1]!
  if (basePath !== '' && routes.some(({ path }) => first(path) === first(basePath))) {
    throw new UserError(
      `TALLYBOOK_BASE_PATH can't begin with /${first(basePath)}, because paths of the service ` +
        'begin with it. Choose another one.',
    )
  }
  for (const route of routes) {
    // Hidden, because the OpenAPI document names `basePath` once, as its server.
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

/** Returns the path as Elysia serves it: it removes one trailing slash. */
export const toServed = (path: string): string => path.replace(/(?<=.)\/$/, '')
