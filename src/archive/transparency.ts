import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
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
    const read = await readFile(join(directory, file)).catch((error: Error) => error)
    const note = (message: string) => report({ file, at: null, message })
    if (read instanceof Error) note(`it can't be read: ${read.message}`)
    else if (read.length !== bytes) note(`it has ${read.length} bytes, not ${bytes}`)
    else if (createHash('sha256').update(read).digest('hex') !== sha256) {
      note("its SHA-256 is not the manifest's")
    }
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
