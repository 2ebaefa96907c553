import { join } from 'node:path'
import { Glob } from 'bun'
import { buildPage } from '../../src/console/bundle.ts'
import type { Embedded } from '../../src/platform/shipped/embedded.ts'
import { readFromPackage, readShipped } from '../../src/platform/shipped/files.ts'

export const ROOT = join(import.meta.dir, '../..')

/** The module that an executable replaces, and the one that its worker runs. */
export const EMBEDDED_MODULE = join(ROOT, 'src/platform/shipped/embedded.ts')
export const WORKER_MODULE = join(ROOT, 'src/service/worker/entry.ts')

/** The files that `readShipped` and `readFromPackage` read. */
const OWN = ['sql/**/*.sql', 'src/**/*.{sql,html,svg}', 'src/http/openapi/page.js']
const SWAGGER_UI = ['swagger-ui.css', 'swagger-ui-bundle.js']

/** Collects what an executable contains besides its code. */
export async function collect(): Promise<Omit<Embedded, 'postgres'>> {
  const files: Record<string, string> = {}
  for (const pattern of OWN) {
    for (const path of new Glob(pattern).scanSync(ROOT)) files[path] = readShipped(path)
  }
  for (const name of SWAGGER_UI) {
    files[`swagger-ui-dist/${name}`] = readFromPackage('swagger-ui-dist', name)
  }
  // Where Bun places the modules of an executable.
  const worker = '/$bunfs/root/service/worker/entry.js'
  return { files, console: await buildPage(), worker }
}
