import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { checkParts, type Problem } from './check.ts'
import { MANIFEST, MANIFEST_SHA256, type Manifest } from './manifest.ts'
import { openArchive } from './open.ts'
import { checkSignedHeads } from './transparency.ts'

/** Options of a check. `report` is called with each problem. */
export type VerifyOptions = {
  directory: string
  signal: AbortSignal
  report: (problem: Problem) => void
  onProgress: (events: number, total: number) => void
}

/**
 * Checks an archive for consistency, without a database: see `checkParts`, and that it has no other
 * files. Every problem goes to `report`. Returns the manifest, or null if it can't be read. Throws
 * UserError if the folder has no manifest.
 */
export async function verifyArchive(options: VerifyOptions): Promise<Manifest | null> {
  const { directory, signal, report, onProgress } = options
  const { manifest, problems } = await openArchive(directory)
  for (const problem of problems) report(problem)
  if (manifest === null) return null
  await findStrays(directory, manifest, report)
  await checkSignedHeads(directory, manifest, report)
  let events = 0
  for await (const checked of checkParts(directory, manifest, report)) {
    signal.throwIfAborted()
    events += checked.length
    onProgress(events, manifest.events)
  }
  return manifest
}

async function findStrays(
  directory: string,
  manifest: Manifest,
  report: (problem: Problem) => void,
): Promise<void> {
  const known = new Set([MANIFEST, MANIFEST_SHA256])
  for (const { file } of manifest.signed_heads ?? []) known.add(file)
  for (const { parts } of manifest.shards) for (const { file } of parts) known.add(file)
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isDirectory()) continue
    const file = join(entry.parentPath, entry.name).slice(join(directory, '/').length)
    if (!known.has(file)) report({ file, at: null, message: 'not a file of the archive' })
  }
}
