import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Origin, openOrigin } from '../../src/proofs/transparency/origin.ts'

/** Creates a data directory with nothing but an origin, which signs under this name. */
export async function makeOrigin(name = 'stats.example.com'): Promise<{
  dataDir: string
  origin: Origin
  remove(): Promise<void>
}> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tallybook-origin-'))
  const { origin } = await openOrigin(dataDir, name)
  return { dataDir, origin, remove: () => rm(dataDir, { recursive: true, force: true }) }
}
