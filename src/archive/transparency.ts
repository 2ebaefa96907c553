import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Problem } from './check.ts'
import type { Manifest } from './manifest.ts'

/** What signs a log, and the last tree heads that were signed: texts of C2SP signed-note. */
export type SignedHeads = { keys: string[]; heads: ReadonlyMap<number, string> }

const KEYS = 'transparency/keys'
const headFile = (shard: number) => `transparency/heads/${shard}`

/** Signed heads as files of an archive, a text each. */
export function formatSignedHeads({ keys, heads }: SignedHeads): Map<string, string> {
  const files = new Map([[KEYS, keys.map((key) => `${key}\n`).join('')]])
  for (const [shard, note] of heads) files.set(headFile(shard), note)
  return files
}

/** Bytes of such a file at most: a note has a few signatures, a shard a few keys. */
const MAX_BYTES = 4 * 1024 * 1024

/** Checks those files against the manifest. */
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
    if (size > MAX_BYTES) return `it has ${size} bytes, which is too large to be one`
    const found = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
    return found === sha256 ? null : "its SHA-256 is not the manifest's"
  } catch (error) {
    return `it can't be read: ${(error as Error).message}`
  }
}

/** The signed heads of an archive; nothing of them is verified. */
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
