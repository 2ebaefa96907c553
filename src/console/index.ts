import { Elysia } from 'elysia'
import type { Places } from '../http/places.ts'
import { Problem } from '../http/problem.ts'
import { type Bundle, bundle } from './bundle.ts'
import { PATHS } from './paths.ts'

const hidden = { detail: { hide: true } }

/**
 * The console: one document for all of its pages, and the files that it names. They are the same
 * for everyone; what they show comes from the routes that everybody else uses.
 */
export function consoleRoutes(basePath: string, places: Places) {
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
    app.get(
      path,
      (context) => places.takeQuick(context, async () => (await get()).document(context.request)),
      hidden,
    )
  }
  return app.get(
    '/console/:file',
    (context) =>
      places.takeQuick(context, async () => {
        const file = (await get()).files.get(context.params.file)
        if (file === undefined) throw new Problem(404, 'not found')
        return file(context.request)
      }),
    hidden,
  )
}
