import { expect, test } from 'bun:test'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findPython, PYTHON_CLIENT } from '../../clients/conformance/python.ts'

// The Python client: its own tests, among them the vectors that all clients share, and its package.

const ROOT = join(import.meta.dir, '../..')

const found = await findPython()
const python = typeof found === 'string' ? [] : found
if (typeof found === 'string') console.log(`skipped: the Python client (${found})`)
const testWithPython = test.skipIf(python.length === 0)

/** Runs Python in the folder of the client; throws with its output if it fails. */
async function run(args: string[]): Promise<string> {
  const options = { cwd: PYTHON_CLIENT, stdout: 'pipe', stderr: 'pipe' } as const
  const child = Bun.spawn([...python, ...args], options)
  const [code, output, errors] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ])
  if (code !== 0) throw new Error(`Python ended with ${code}: ${output}${errors}`)
  return output + errors
}

testWithPython(
  'its own tests pass, and agree with the vectors',
  async () => {
    const output = await run(['-m', 'unittest', 'discover', '-s', 'tests'])
    // A skipped test would be named in the same line.
    expect(output).toMatch(/^OK$/m)
  },
  60_000,
)

const canBuild =
  python.length > 0 && Bun.spawnSync([...python, '-c', 'import build, hatchling']).success
if (python.length > 0 && !canBuild)
  console.log('skipped: the package of the Python client (Python has no build and hatchling)')

test.skipIf(!canBuild)(
  'its package builds, and loads with its types',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tallybook-python-'))
    try {
      await run(['-m', 'build', '--no-isolation', '--outdir', folder])
      const files = (await readdir(folder)).sort()
      const version = await readVersion()
      const wheel = `tallybook_client-${version}-py3-none-any.whl`
      expect(files).toEqual([wheel, `tallybook_client-${version}.tar.gz`])
      const program = `
import sys, pathlib
sys.path.insert(0, ${JSON.stringify(join(folder, wheel))})
import tallybook_client, importlib.resources, importlib.metadata
print(tallybook_client.__file__)
print(importlib.resources.files(tallybook_client).joinpath('py.typed').is_file())
print(importlib.metadata.metadata('tallybook-client')['License-Expression'])`
      const lines = (await run(['-c', program])).trim().split('\n')
      expect(lines).toEqual([join(folder, wheel, 'tallybook_client/__init__.py'), 'True', 'MIT'])
    } finally {
      await rm(folder, { recursive: true })
    }
  },
  60_000,
)

const readVersion = async () =>
  /^version = "(.+)"$/m.exec(await readFile(join(PYTHON_CLIENT, 'pyproject.toml'), 'utf8'))![1]!

test('its changelog describes its version, and its licence is that of the repository', async () => {
  const changelog = await readFile(join(PYTHON_CLIENT, 'CHANGELOG.md'), 'utf8')
  expect(changelog).toContain(`\n## [${await readVersion()}]\n`)
  const texts = await Promise.all(
    [ROOT, PYTHON_CLIENT].map((path) => readFile(join(path, 'LICENSE'))),
  )
  expect(texts[0]).toEqual(texts[1]!)
})
