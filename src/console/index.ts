import { Elysia } from 'elysia'
import type { Admission } from '../http/admission.ts'
import { Problem } from '../http/problem.ts'
import { type Bundle, bundle } from './bundle.ts'
import { PATHS } from './paths.ts'

const hidden = { detail: { hide: true } }

/**
 * Serves the console: one document for all of its pages, and the files that it references. They are
 * the same for every user; the pages read from the routes that every other client uses.
 */
export function consoleRoutes(basePath: string, admission: Admission) {
  let made: Promise<Bundle> | null = null
  /** Builds on the first request, and again after a failure. */
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
      (context) =>
        admission.admitQuick(context, async () => (await get()).document(context.request)),
      hidden,
    )
  }
  return app.get(
    '/console/:file',
    (context) =>
      admission.admitQuick(context, async () => {
        const file = (await get()).files.get(context.params.file)
        if (file === undefined) throw new Problem(404, 'not found')
        return file(context.request)
      }),
    hidden,
  )
}
