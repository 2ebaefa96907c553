// SHA-256 and Merkle trees with WebCrypto, which browsers provide only on HTTPS and localhost.

export type Hash = Uint8Array<ArrayBuffer>

/** False if the browser provides no WebCrypto, as on plain HTTP from another machine. */
export const canHash = () => globalThis.crypto?.subtle !== undefined

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Hash> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

/** Hashes a leaf (RFC 6962, section 2.1): SHA-256 of a zero byte and the leaf. */
export function hashLeaf(leaf: string): Promise<Hash> {
  return sha256(join([new Uint8Array([0]), toBytes(leaf)]))
}

/** Hashes a node: SHA-256 of the byte 1 and both children. */
export function hashNode(left: Hash, right: Hash): Promise<Hash> {
  return sha256(join([new Uint8Array([1]), left, right]))
}

export const toBytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)

/** Concatenates byte arrays. */
export function join(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

export const equal = (a: Uint8Array, b: Uint8Array) =>
  a.length === b.length && a.every((byte, i) => byte === b[i])

export const toHex = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

export const toBase64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes))

/** Decodes base64; null unless the text is padded and canonical. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
    return toBase64Long(bytes) === text ? bytes : null
  } catch {
    return null
  }
}

/** Like `toBase64`, for any length: a call cannot take a megabyte of arguments. */
function toBase64Long(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 3_000) text += toBase64(bytes.subarray(i, i + 3_000))
  return text
}
