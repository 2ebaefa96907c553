import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isExtended } from '../../test/support/extended.ts'
import { buildGoProgram, whyNoGo } from '../../test/support/go.ts'
import { findPython, PYTHON_CLIENT } from './python.ts'

/** A way to run the client of a language. */
export type Driver = { language: string; name: string; command: readonly string[] }

/**
 * `all`, or a language, to try everything with all drivers or with those of the language. Otherwise
 * samples are tried with one driver of each language.
 */
const { TALLYBOOK_TEST_CLIENTS: CHOSEN } = process.env

/** False if samples are enough. */
export const IS_COMPLETE = CHOSEN !== undefined

const CLIENTS = join(import.meta.dir, '..')

/** The oldest minor version of Go 1 that the client supports. */
export const GO_MINOR = 22

/** Returns the drivers that this machine can run. `remove` deletes what was built for them. */
export async function findDrivers(): Promise<{ drivers: Driver[]; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-drivers-'))
  const found = await findTypescript(folder)
  if (isExtended) found.push(...(await findGo(folder)), ...(await findPythonDrivers()))
  const drivers = found.filter(
    ({ language }) => !IS_COMPLETE || ['all', language].includes(CHOSEN!),
  )
  if (drivers.length === 0) throw new Error(`This machine has no driver for ${CHOSEN}.`)
  return {
    drivers,
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Returns the drivers for scenarios that cost much: one of each language, or those chosen. */
export const forScenarios = (drivers: readonly Driver[]): readonly Driver[] =>
  IS_COMPLETE ? drivers : oneOfEach(drivers)

/** Returns the first driver of each language. */
export const oneOfEach = (drivers: readonly Driver[]): Driver[] =>
  drivers.filter(
    ({ language }, i) => drivers.findIndex((other) => other.language === language) === i,
  )

async function findTypescript(folder: string): Promise<Driver[]> {
  const language = 'typescript'
  const source = join(CLIENTS, 'typescript/conformance/driver.ts')
  const drivers: Driver[] = [
    { language, name: 'typescript on bun', command: [process.execPath, source] },
  ]
  const node = Bun.which('node')
  if (node !== null) {
    const built = await Bun.build({
      entrypoints: [source],
      outdir: folder,
      target: 'node',
      naming: '[name].mjs',
    })
    const command = [node, built.outputs[0]!.path]
    drivers.push({ language, name: 'typescript on node', command })
  }
  const deno = Bun.which('deno')
  if (deno !== null) {
    const command = [deno, 'run', '-A', '--quiet', source]
    drivers.push({ language, name: 'typescript on deno', command })
  }
  return drivers
}

async function findGo(folder: string): Promise<Driver[]> {
  const reason = await whyNoGo(GO_MINOR)
  if (reason !== null) {
    console.log(`skipped: ${reason}`)
    return []
  }
  const source = join(CLIENTS, 'go/conformance/driver')
  const program = await buildGoProgram(source, 'tallybook-go-driver', folder)
  return [{ language: 'go', name: 'go', command: [program] }]
}

async function findPythonDrivers(): Promise<Driver[]> {
  const python = await findPython()
  if (typeof python === 'string') {
    console.log(`skipped: the Python client (${python})`)
    return []
  }
  const command = [...python, join(PYTHON_CLIENT, 'conformance/driver.py')]
  return [{ language: 'python', name: 'python', command }]
}
