import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Origin, openOrigin } from '../../src/transparency/origin.ts'

/** A data directory that signs as `stats.example.com`; nothing else is in it. */
export async function makeOrigin(): Promise<{
  dataDir: string
  origin: Origin
  remove(): Promise<void>
}> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tallybook-origin-'))
  const { origin } = await openOrigin(dataDir, 'stats.example.com')
  return { dataDir, origin, remove: () => rm(dataDir, { recursive: true, force: true }) }
}
