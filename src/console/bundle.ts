import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Asset, policyOf, toAsset } from '../http/asset.ts'

const FOLDER = join(import.meta.dir, 'page')

/** A file's name contains a hash of its content, so the content under a name never changes. */
const IMMUTABLE = { 'cache-control': 'public, max-age=31536000, immutable' }

/** The console as browsers load it: its document, and the files that the document references. */
export type Bundle = { document: Asset; files: ReadonlyMap<string, Asset> }

/** Builds the script and style sheet of `page/`, served under `basePath`. Takes about 55 ms. */
export async function bundle(basePath: string): Promise<Bundle> {
  const built = await Bun.build({
    entrypoints: [join(FOLDER, 'main.tsx')],
    target: 'browser',
    minify: true,
    naming: '[name]-[hash].[ext]',
    define: { 'process.env.NODE_ENV': '"production"' },
  })
  const icon = await readFile(join(FOLDER, 'icon.svg'), 'utf8')
  const files = new Map<string, Asset>([['icon.svg', toAsset(icon, 'image/svg+xml')]])
  let document = (await readFile(join(FOLDER, 'index.html'), 'utf8')).replaceAll('$base', basePath)
  for (const output of built.outputs) {
    const name = output.path.split('/').at(-1)!
    files.set(name, toAsset(new Uint8Array(await output.arrayBuffer()), output.type, IMMUTABLE))
    document = document.replace(name.endsWith('.css') ? 'main.css' : 'main.js', name)
  }
  const headers = { 'content-security-policy': policyOf("'self'") }
  return { document: toAsset(document, 'text/html; charset=utf-8', headers), files }
}
