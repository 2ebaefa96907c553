// SHA-256 and trees by the browser's own WebCrypto. It is there on HTTPS and on this machine only.

export type Hash = Uint8Array<ArrayBuffer>

/** False where the browser has no WebCrypto: on plain HTTP from another machine. */
export const canHash = () => globalThis.crypto?.subtle !== undefined

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Hash> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

/** RFC 6962, section 2.1: SHA-256 of a zero byte and the leaf. */
export function hashLeaf(leaf: string): Promise<Hash> {
  return sha256(join([new Uint8Array([0]), toBytes(leaf)]))
}

/** SHA-256 of the byte 1 and both. */
export function hashNode(left: Hash, right: Hash): Promise<Hash> {
  return sha256(join([new Uint8Array([1]), left, right]))
}

export const toBytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)

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

/** Null where the text isn't base64 with padding, written in the one way. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
    return toBase64Long(bytes) === text ? bytes : null
  } catch {
    return null
  }
}

/** As `toBase64`, of any length: a call has no room for a megabyte of arguments. */
function toBase64Long(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 3_000) text += toBase64(bytes.subarray(i, i + 3_000))
  return text
}
