import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** The source of the Python client. */
export const PYTHON_CLIENT = join(import.meta.dir, '../python')

/** Packages that are installed once, unless Python has them. They may be removed at any time. */
const CACHE = join(import.meta.dir, '../../node_modules/.cache/tallybook-python')

/** What runs and builds the client: the programs of `pip install`. */
const PACKAGES = ['httpx>=0.24,<1', 'build', 'hatchling>=1.26']
const IMPORTS = 'httpx, build, hatchling'

const VERSION = `import sys
assert sys.version_info >= (3, 10)
print(sys.executable)
print('%d.%d' % sys.version_info[:2])`

const INSTALL_MS = 120_000

/** Runs a program; returns what it prints, or null if it fails. */
async function run(command: string[], timeout?: number): Promise<string | null> {
  const options = { stdout: 'pipe', stderr: 'ignore', ...(timeout && { timeout }) } as const
  const child = Bun.spawn(command, options)
  const output = await child.stdout.text()
  return (await child.exited) === 0 ? output.trim() : null
}

/**
 * Returns the beginning of a command that runs Python with the client, with httpx, and if possible
 * with what builds its package. If there is none, returns the reason as a text.
 */
export async function findPython(): Promise<string[] | string> {
  if (Bun.which('python3') === null) return 'there is no Python on this machine'
  const found = await run(['python3', '-c', VERSION])
  if (found === null) return 'the Python of this machine is older than 3.10'
  const [python, version] = found.split('\n') as [string, string]
  const withPath = (path: string[]) => [
    // Compiled files go to the cache, because to compile takes longer than most tests.
    ...['env', '-u', 'PYTHONDONTWRITEBYTECODE', `PYTHONPYCACHEPREFIX=${join(CACHE, 'compiled')}`],
    ...[`PYTHONPATH=${path.join(':')}`, python],
  ]
  const source = join(PYTHON_CLIENT, 'src')
  const own = withPath([source])
  const canImport = async (command: string[], names: string) =>
    (await run([...command, '-c', `import ${names}`])) !== null
  if (await canImport(own, IMPORTS)) return own
  const packages = join(CACHE, version)
  if (!existsSync(packages)) await install(python, packages)
  const installed = withPath([source, packages])
  if (await canImport(installed, IMPORTS)) return installed
  if (await canImport(own, 'httpx')) return own
  return 'Python has no httpx, and pip can’t install it'
}

/** Installs the packages into a folder that appears complete, or not at all. */
async function install(python: string, folder: string): Promise<void> {
  await mkdir(CACHE, { recursive: true })
  const draft = `${folder}.${randomUUID()}`
  const pip = [python, '-m', 'pip', 'install', '--quiet', '--target', draft, ...PACKAGES]
  // Another test may have installed them meanwhile.
  if ((await run(pip, INSTALL_MS)) !== null) await rename(draft, folder).catch(() => {})
  await rm(draft, { recursive: true, force: true })
}
