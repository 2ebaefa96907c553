import { hash } from 'node:crypto'

/** SHA-256, 32 bytes. */
export type Hash = Uint8Array

export const HASH_BYTES = 32

/** The root of a tree without leaves: SHA-256 of nothing (RFC 6962, section 2.1). */
export const EMPTY_ROOT: Hash = sha256('')

/** SHA-256 of a text's UTF-8, or of bytes. */
export function sha256(content: string | Uint8Array): Buffer {
  return hash('sha256', content, 'buffer')
}

/** The hash above two others: SHA-256 of the byte 1 and both. */
export function hashNode(left: Hash, right: Hash): Buffer {
  const node = new Uint8Array(1 + 2 * HASH_BYTES)
  node[0] = 1
  node.set(left, 1)
  node.set(right, 1 + HASH_BYTES)
  return sha256(node)
}

/** The hashes that stand in a row in `bytes`; views of it. */
export function splitHashes(bytes: Uint8Array): Hash[] {
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, i) =>
    bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  )
}

export function equalHashes(a: Hash, b: Hash): boolean {
  return Buffer.compare(a, b) === 0
}

/** In base64 with padding, as notes and proofs carry it. */
export function formatHash(hash: Hash): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('base64')
}

/** Null where the text isn't exactly what `formatHash` writes of a hash. */
export function parseHash(text: string): Hash | null {
  const bytes = decodeBase64(text)
  return bytes?.length === HASH_BYTES ? bytes : null
}

/** Base64 with padding (RFC 4648, section 4); null where it is not written in the one way. */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}
