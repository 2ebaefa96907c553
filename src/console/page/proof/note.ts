import { equal, fromBase64, type Hash, join, sha256, toBytes, toHex } from './hash.ts'

/** A signed tree head (C2SP signed-note and tlog-checkpoint). */
export type Head = { origin: string; size: number; root: Hash; note: string }

/** A verifier key: `stats.example.com/audit/log/0+7a1b2c3d+AQ…=`. */
export type Key = { text: string; name: string; id: Uint8Array; publicKey: Uint8Array<ArrayBuffer> }

/** The algorithm byte of Ed25519. */
const ED25519 = 1

/** Parses a list of keys, one per line; skips lines that are not an Ed25519 key. */
export async function readKeys(text: string): Promise<Key[]> {
  const keys = await Promise.all(text.split('\n').map(readKey))
  return keys.filter((key) => key !== null)
}

async function readKey(text: string): Promise<Key | null> {
  const [, name, id, base64] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text) ?? []
  const bytes = base64 === undefined ? null : fromBase64(base64)
  if (name === undefined || bytes?.length !== 33 || bytes[0] !== ED25519) return null
  const named = await sha256(join([toBytes(`${name}\n`), bytes]))
  if (toHex(named.subarray(0, 4)) !== id) return null
  return { text, name, id: named.subarray(0, 4), publicKey: bytes.slice(1) }
}

/** Parses a note as a tree head, without verifying it; null if it is not one. */
export function readHead(note: string): Head | null {
  const [origin, size, root] = note.split('\n', 3)
  const bytes = fromBase64(root ?? '')
  if (!origin || !/^(?:0|[1-9]\d{0,15})$/.test(size ?? '') || bytes?.length !== 32) return null
  return Number.isSafeInteger(Number(size))
    ? { origin, size: Number(size), root: bytes, note }
    : null
}

/** Returns the key that signed this head under its origin's name, or null if none did. */
export async function findSigner({ origin, note }: Head, keys: Key[]): Promise<Key | null> {
  const end = note.lastIndexOf('\n\n')
  const text = toBytes(note.slice(0, end + 1))
  for (const line of note.slice(end + 2).split('\n')) {
    const [, name, base64] = /^— (\S+) (\S+)$/.exec(line) ?? []
    const bytes = fromBase64(base64 ?? '')
    if (name !== origin || bytes?.length !== 68) continue
    const key = keys.find((known) => known.name === name && equal(known.id, bytes.subarray(0, 4)))
    if (key && (await isSigned(key, text, bytes.slice(4)))) return key
  }
  return null
}

async function isSigned(
  { publicKey }: Key,
  text: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const key = await crypto.subtle.importKey('raw', publicKey, 'Ed25519', false, ['verify'])
  return crypto.subtle.verify('Ed25519', key, signature, text)
}
