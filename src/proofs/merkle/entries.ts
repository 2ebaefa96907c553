/** Maximum bytes of a leaf: the length field of a bundle has 16 bits. */
export const MAX_LEAF_BYTES = 65_535

/**
 * Formats leaves as a bundle of C2SP tlog-tiles: each leaf follows its length in two bytes,
 * big-endian. Returns null if a leaf is too long.
 */
export function formatEntries(leaves: readonly string[]): Buffer<ArrayBuffer> | null {
  const chunks: Buffer[] = []
  for (const leaf of leaves) {
    const bytes = Buffer.from(leaf)
    if (bytes.length > MAX_LEAF_BYTES) return null
    const length = Buffer.alloc(2)
    length.writeUInt16BE(bytes.length)
    chunks.push(length, bytes)
  }
  return Buffer.concat(chunks)
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads a bundle. Returns null if the bytes are not a bundle of leaves in UTF-8. */
export function parseEntries(bundle: Uint8Array): string[] | null {
  const leaves: string[] = []
  for (let at = 0; at < bundle.length; ) {
    const end = at + 2 + (bundle[at]! * 256 + (bundle[at + 1] ?? Number.NaN))
    if (!(end <= bundle.length)) return null
    try {
      leaves.push(decoder.decode(bundle.subarray(at + 2, end)))
    } catch {
      return null
    }
    at = end
  }
  return leaves
}
