import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '../platform/user-error.ts'
import type { Problem } from './check.ts'
import { MANIFEST, MANIFEST_SHA256, type Manifest, parseManifest } from './manifest.ts'

/** Maximum bytes of a manifest. That of a log of a billion events has a hundredth of it. */
const MAX_MANIFEST_BYTES = 256 * 1024 * 1024

/**
 * Reads an archive's manifest, its SHA-256 in hex, and its problems. The manifest is null if it is
 * too damaged to list the parts. Throws UserError if the folder has no manifest.
 */
export async function openArchive(
  directory: string,
): Promise<{ manifest: Manifest | null; sha256: string; problems: Problem[] }> {
  const bytes = await readManifestFile(directory)
  const problems: Problem[] = []
  const note = (file: string, message: string) => problems.push({ file, at: null, message })

  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const stated = await readFile(join(directory, MANIFEST_SHA256), 'latin1').catch(() => null)
  if (stated === null) note(MANIFEST_SHA256, 'the file is missing')
  else if (stated !== `${sha256}  ${MANIFEST}\n`) {
    note(MANIFEST, `its SHA-256 is ${sha256}, which differs from ${MANIFEST_SHA256}`)
  }
  const manifest = parseManifest(bytes.toString('utf8'))
  if (typeof manifest !== 'string') return { manifest, sha256, problems }
  note(MANIFEST, `it can't be read: ${manifest}`)
  return { manifest: null, sha256, problems }
}

async function readManifestFile(directory: string): Promise<Buffer> {
  const path = join(directory, MANIFEST)
  try {
    const found = await stat(path)
    if (!found.isFile() || found.size > MAX_MANIFEST_BYTES) {
      throw new UserError(`${path} is not a file, or is too large to be a manifest.`)
    }
    return await readFile(path)
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`${directory} is not a Tallybook archive: ${error}`)
  }
}
