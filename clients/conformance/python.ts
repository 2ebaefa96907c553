import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isExtended, LEFT_TO_CI } from '../../test/support/extended.ts'

/** The source of the Python client. */
export const PYTHON_CLIENT = join(import.meta.dir, '../python')

/** Packages that are installed once, unless Python has them. They may be removed at any time. */
const CACHE = join(import.meta.dir, '../../node_modules/.cache/tallybook-python')

/** What runs and builds the client: the programs of `pip install`. */
const PACKAGES = ['httpx>=0.24,<1', 'build', 'hatchling>=1.26']

/** Prints the path of Python, its version, and which of the packages it has. */
const DESCRIBE = `import sys, importlib.util
assert sys.version_info >= (3, 10)
print(sys.executable)
print('%d.%d' % sys.version_info[:2])
print(*(name for name in ('httpx', 'build', 'hatchling') if importlib.util.find_spec(name)))`

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
  if (!isExtended) return `Python ${LEFT_TO_CI}`
  if (Bun.which('python3') === null) return 'there is no Python on this machine'
  const found = await run(['python3', '-I', '-c', DESCRIBE])
  if (found === null) return 'the Python of this machine is older than 3.10'
  const [python, version, packages = ''] = found.split('\n') as [string, string, string?]
  const withPath = (path: string[]) => [
    // Compiled files go to the cache, because to compile takes longer than most tests.
    ...['env', '-u', 'PYTHONDONTWRITEBYTECODE', `PYTHONPYCACHEPREFIX=${join(CACHE, 'compiled')}`],
    // Tests use no TLS, and to load certificates takes a third of the start of a driver.
    ...[`SSL_CERT_DIR=${CACHE}`, `PYTHONPATH=${path.join(':')}`, python],
  ]
  const source = join(PYTHON_CLIENT, 'src')
  if (packages.split(' ').length === PACKAGES.length) return withPath([source])
  const installed = join(CACHE, version)
  if (!existsSync(installed)) await install(python, installed)
  // -S leaves out what else is installed, which makes the start of a driver a third faster.
  if (existsSync(installed)) return [...withPath([source, installed]), '-S']
  if (packages.includes('httpx')) return withPath([source])
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
