import { expect, test } from 'bun:test'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Glob } from 'bun'

// The package of the TypeScript client, as its users install it.

const ROOT = join(import.meta.dir, '../..')
const PACKAGE = join(ROOT, 'clients/typescript')

const readJson = async (path: string) => JSON.parse(await readFile(path, 'utf8'))

async function run(command: string[], cwd: string): Promise<string> {
  const child = Bun.spawn(command, { cwd, stdout: 'pipe', stderr: 'pipe' })
  const [code, output, errors] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ])
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}: ${output}${errors}`)
  return output
}

test('it is packed, and loads in Node if there is one, without any other package', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-package-'))
  const source = join(folder, 'source')
  await cp(PACKAGE, join(source, 'client'), { recursive: true })
  // The compiler.
  await symlink(join(ROOT, 'node_modules'), join(source, 'node_modules'))
  const pack = Bun.which('npm') === null ? [process.execPath, 'pm', 'pack'] : ['npm', 'pack']
  await run(pack, join(source, 'client'))
  const [packed] = await Array.fromAsync(new Glob('*.tgz').scan(join(source, 'client')))
  const installed = join(folder, 'user/node_modules/@tallybook/client')
  await mkdir(installed, { recursive: true })
  await run(['tar', '-xzf', join(source, 'client', packed!), '--strip-components=1'], installed)
  const program = `
    import { TallybookClient } from '@tallybook/client'
    const spool = './spool'
    const client = await TallybookClient.open({ url: 'http://127.0.0.1:1', token: 'x', spool })
    client.record(7, { requests: 1 })
    console.log(JSON.stringify(await client.close(1)))`
  await Bun.write(join(folder, 'user/program.mjs'), program)
  const node = Bun.which('node') ?? process.execPath
  const output = await run([node, 'program.mjs'], join(folder, 'user'))
  expect(JSON.parse(output)).toEqual({ flushes: 1, unsealed: 0, rejected: 0 })
  expect((await readdir(installed)).sort()).toEqual(
    ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'package.json'].sort(),
  )
  const types = await readFile(join(installed, 'dist/index.d.ts'), 'utf8')
  expect(types).toContain('TallybookClient')
  await rm(folder, { recursive: true })
})

test('it has no dependencies, and its changelog describes its version', async () => {
  const { dependencies, version, license } = await readJson(join(PACKAGE, 'package.json'))
  expect(dependencies).toBeUndefined()
  expect(license).toBe('MIT')
  expect(await readFile(join(PACKAGE, 'CHANGELOG.md'), 'utf8')).toContain(`\n## [${version}]\n`)
  const texts = await Promise.all(
    [ROOT, PACKAGE].map((folder) => readFile(join(folder, 'LICENSE'))),
  )
  expect(texts[0]).toEqual(texts[1]!)
})
