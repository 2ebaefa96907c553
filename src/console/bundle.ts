import { join } from 'node:path'
import { type Asset, policyOf, toAsset } from '../http/asset.ts'
import { EMBEDDED, type Embedded } from '../platform/shipped/embedded.ts'
import { readShipped } from '../platform/shipped/files.ts'

/** A file's name contains a hash of its content, so the content under a name never changes. */
const IMMUTABLE = { 'cache-control': 'public, max-age=31536000, immutable' }

/** The console as browsers load it: its document, and the files that the document references. */
export type Bundle = { document: Asset; files: ReadonlyMap<string, Asset> }

/** Returns the console, served under `basePath`. */
export async function bundle(basePath: string): Promise<Bundle> {
  const icon = readShipped('src/console/page/icon.svg')
  const files = new Map<string, Asset>([['icon.svg', toAsset(icon, 'image/svg+xml')]])
  let document = readShipped('src/console/page/index.html').replaceAll('$base', basePath)
  for (const { name, type, text } of EMBEDDED?.console ?? (await buildPage())) {
    files.set(name, toAsset(text, type, IMMUTABLE))
    document = document.replace(name.endsWith('.css') ? 'main.css' : 'main.js', name)
  }
  const headers = { 'content-security-policy': policyOf("'self'") }
  return { document: toAsset(document, 'text/html; charset=utf-8', headers), files }
}

/** Builds the script and the style sheet of `page/`. Takes about 55 ms. */
export async function buildPage(): Promise<Embedded['console']> {
  const built = await Bun.build({
    entrypoints: [join(import.meta.dir, 'page/main.tsx')],
    target: 'browser',
    minify: true,
    naming: '[name]-[hash].[ext]',
    define: { 'process.env.NODE_ENV': '"production"' },
  })
  return Promise.all(
    built.outputs.map(async (output) => {
      const name = output.path.split('/').at(-1)!
      return { name, type: output.type, text: await output.text() }
    }),
  )
}
