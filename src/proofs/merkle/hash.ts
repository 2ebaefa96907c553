import { hash } from 'node:crypto'

/** SHA-256, 32 bytes. */
export type Hash = Uint8Array

/** Length of a hash. */
export const HASH_BYTES = 32

/** The root of an empty tree: SHA-256 of the empty string (RFC 6962, section 2.1). */
export const EMPTY_ROOT: Hash = sha256('')

/** Returns the SHA-256 of bytes, or of a text in UTF-8. */
export function sha256(content: string | Uint8Array): Buffer {
  return hash('sha256', content, 'buffer')
}

/** Returns the hash of a node with two children: SHA-256 of the byte 1 and both hashes. */
export function hashNode(left: Hash, right: Hash): Buffer {
  const node = new Uint8Array(1 + 2 * HASH_BYTES)
  node[0] = 1
  node.set(left, 1)
  node.set(right, 1 + HASH_BYTES)
  return sha256(node)
}

/** Splits concatenated hashes. The results are views of `bytes`. */
export function splitHashes(bytes: Uint8Array): Hash[] {
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, i) =>
    bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  )
}

/** True if two hashes are the same. */
export function equalHashes(a: Hash, b: Hash): boolean {
  return Buffer.compare(a, b) === 0
}

/** Formats a hash in base64 with padding, as notes and proofs have it. */
export function formatHash(hash: Hash): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('base64')
}

/** Parses a hash. Returns null if the text is not exactly what `formatHash` writes. */
export function parseHash(text: string): Hash | null {
  const bytes = decodeBase64(text)
  return bytes?.length === HASH_BYTES ? bytes : null
}

/** Decodes base64 with padding (RFC 4648, section 4). Returns null for a non-canonical encoding. */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}
