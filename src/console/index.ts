import { Elysia } from 'elysia'
import { Problem } from '../http/problem.ts'
import { type Bundle, bundle } from './bundle.ts'
import { PATHS } from './paths.ts'

const hidden = { detail: { hide: true } }

/**
 * The console: one document for all of its pages, and the files that it names. They are the same
 * for everyone; what they show comes from the routes that everybody else uses.
 */
export function consoleRoutes(basePath: string) {
  let made: Promise<Bundle> | null = null
  /** Made on the first request; one that failed is tried again. */
  const get = () => {
    made ??= bundle(basePath).catch((error) => {
      made = null
      throw error
    })
    return made
  }
  const app = new Elysia({ name: 'console' })
  for (const path of PATHS) {
    app.get(path, async ({ request }) => (await get()).document(request), hidden)
  }
  return app.get(
    '/console/:file',
    async ({ params, request }) => {
      const file = (await get()).files.get(params.file)
      if (file === undefined) throw new Problem(404, 'not found')
      return file(request)
    },
    hidden,
  )
}
