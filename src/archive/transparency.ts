import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Problem } from './check.ts'
import type { Manifest } from './manifest.ts'

/** The verifier keys of a log and its last signed tree heads, as texts (C2SP signed-note). */
export type SignedHeads = { keys: string[]; heads: ReadonlyMap<number, string> }

const KEYS = 'transparency/keys'
const headFile = (shard: number) => `transparency/heads/${shard}`

/** Formats signed heads as files of an archive. Returns the text of each file. */
export function formatSignedHeads({ keys, heads }: SignedHeads): Map<string, string> {
  const files = new Map([[KEYS, keys.map((key) => `${key}\n`).join('')]])
  for (const [shard, note] of heads) files.set(headFile(shard), note)
  return files
}

/** Maximum bytes of such a file. A note has a few signatures, a shard a few keys. */
const MAX_BYTES = 4 * 1024 * 1024

/** Checks those files against the manifest. Every problem goes to `report`. */
export async function checkSignedHeads(
  directory: string,
  manifest: Manifest,
  report: (problem: Problem) => void,
): Promise<void> {
  for (const { file, bytes, sha256 } of manifest.signed_heads ?? []) {
    const message = await findProblem(join(directory, file), bytes, sha256)
    if (message !== null) report({ file, at: null, message })
  }
}

async function findProblem(path: string, bytes: number, sha256: string): Promise<string | null> {
  try {
    const { size } = await stat(path)
    if (size !== bytes) return `it has ${size} bytes, not ${bytes}`
    if (size > MAX_BYTES) return `it has ${size} bytes, which is too large`
    const found = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
    return found === sha256 ? null : "its SHA-256 differs from the manifest's"
  } catch (error) {
    return `it can't be read: ${(error as Error).message}`
  }
}

/** Reads the signed heads of an archive. Verifies nothing, and ignores files that can't be read. */
export async function readSignedHeads(directory: string, manifest: Manifest): Promise<SignedHeads> {
  const heads = new Map<number, string>()
  let keys: string[] = []
  for (const { file, bytes } of manifest.signed_heads ?? []) {
    if (bytes > MAX_BYTES) continue
    const text = await readFile(join(directory, file), 'utf8').catch(() => '')
    const shard = /^transparency\/heads\/(\d+)$/.exec(file)?.[1]
    if (file === KEYS) keys = text.split('\n').filter(Boolean)
    else if (shard !== undefined) heads.set(Number(shard), text)
  }
  return { keys, heads }
}
