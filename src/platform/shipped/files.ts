import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { EMBEDDED } from './embedded.ts'

// The files that the program reads besides its code. They are in the folder of the project, or in
// the executable.

const ROOT = join(import.meta.dir, '../../..')

/** Reads a file, named by its path from the root of the project: `sql/grants.sql`. */
export const readShipped = (path: string): string => read(path, () => join(ROOT, path))

/** Reads a file of a package: `readFromPackage('swagger-ui-dist', 'swagger-ui.css')`. */
export function readFromPackage(name: string, path: string): string {
  return read(`${name}/${path}`, () => {
    const folder = dirname(Bun.resolveSync(`${name}/package.json`, import.meta.dir))
    return join(folder, path)
  })
}

/** Returns the names of the files of a folder, in order. Folders in it are left out. */
export function listShipped(folder: string): string[] {
  if (EMBEDDED === null) {
    const entries = readdirSync(join(ROOT, folder), { withFileTypes: true })
    return entries.flatMap((entry) => (entry.isFile() ? [entry.name] : [])).sort()
  }
  const paths = Object.keys(EMBEDDED.files).filter((path) => dirname(path) === folder)
  return paths.map((path) => path.slice(folder.length + 1)).sort()
}

function read(name: string, locate: () => string): string {
  if (EMBEDDED === null) return readFileSync(locate(), 'utf8')
  const text = EMBEDDED.files[name]
  if (text === undefined) throw new Error(`The executable lacks ${name}.`)
  return text
}
