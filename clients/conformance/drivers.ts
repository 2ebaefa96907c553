import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A way to run the client of a language. */
export type Driver = { name: string; command: readonly string[] }

const SOURCE = join(import.meta.dir, '../typescript/conformance/driver.ts')

/** Returns the drivers that this machine can run. `remove` deletes what was built for them. */
export async function findDrivers(): Promise<{ drivers: Driver[]; remove(): Promise<void> }> {
  const drivers: Driver[] = [{ name: 'typescript on bun', command: [process.execPath, SOURCE] }]
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-drivers-'))
  const node = Bun.which('node')
  if (node !== null) {
    const built = await Bun.build({
      entrypoints: [SOURCE],
      outdir: folder,
      target: 'node',
      naming: '[name].mjs',
    })
    drivers.push({ name: 'typescript on node', command: [node, built.outputs[0]!.path] })
  }
  const deno = Bun.which('deno')
  if (deno !== null)
    drivers.push({ name: 'typescript on deno', command: [deno, 'run', '-A', '--quiet', SOURCE] })
  return { drivers, remove: () => rm(folder, { recursive: true, force: true }) }
}
