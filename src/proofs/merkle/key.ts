import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'
import { decodeBase64, sha256 } from './hash.ts'

/** The algorithm byte of Ed25519 in keys of signed notes. */
const ED25519 = 1
const SEED_BYTES = 32

/** DER prefixes of the 32 bytes of an Ed25519 key (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

/** A key that signs notes under a name. The seed is its secret. */
export type SigningKey = { name: string; id: string; seed: Buffer; publicKey: Buffer }

/** A key that verifies signatures. `id` is 8 hex digits derived from the name and the key. */
export type VerifierKey = { name: string; id: string; publicKey: Buffer }

/**
 * True if a text can be a key's name (C2SP signed-note): it is not empty and has no whitespace, `+`
 * or control characters.
 */
export function isKeyName(name: string): boolean {
  return name !== '' && !/[+\s\p{Z}\p{Cc}\ufeff]/u.test(name) && name.isWellFormed()
}

/** Returns why a text can't be the name of a log's origin, for people, or null if it can. */
export function findNameProblem(name: string): string | null {
  if (!isKeyName(name)) return 'must have no spaces and no "+"'
  if (name.length > 200) return 'must have at most 200 characters'
  if (name.includes('://') || name.endsWith('/')) return 'must be a host and path, without a scheme'
  return null
}

/** Makes a signing key from a seed of 32 bytes, by default a random one. */
export function makeSigningKey(name: string, seed: Buffer = randomBytes(SEED_BYTES)): SigningKey {
  const publicKey = createPublicKey(privateKeyOf(seed))
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI.length)
  return { name, id: keyId(name, raw), seed, publicKey: raw }
}

/**
 * Formats a signing key as Go's sumdb/note does. The text contains the secret:
 *
 *     PRIVATE+KEY+stats.example.com+7a1b2c3d+AQ…=
 */
export function formatSigningKey({ name, id, seed }: SigningKey): string {
  return `PRIVATE+KEY+${name}+${id}+${withType(seed)}`
}

/** Parses a signing key. Returns null if the text is not an Ed25519 signing key. */
export function parseSigningKey(text: string): SigningKey | null {
  const parts = text.split('+')
  if (parts[0] !== 'PRIVATE' || parts[1] !== 'KEY') return null
  const read = readKey(parts.slice(2))
  if (read === null) return null
  const key = makeSigningKey(read.name, read.bytes)
  return key.id === read.id ? key : null
}

/**
 * Formats a verifier key (vkey) as C2SP signed-note does:
 *
 *     example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
 */
export function formatVerifierKey({ name, id, publicKey }: VerifierKey): string {
  return `${name}+${id}+${withType(publicKey)}`
}

/** Parses a verifier key. Returns null if the text is not an Ed25519 verifier key. */
export function parseVerifierKey(text: string): VerifierKey | null {
  const read = readKey(text.split('+'))
  if (read === null || keyId(read.name, read.bytes) !== read.id) return null
  return { name: read.name, id: read.id, publicKey: read.bytes }
}

/** Returns the Ed25519 signature of a text's UTF-8. */
export function signText({ seed }: SigningKey, text: string): Buffer {
  return sign(null, Buffer.from(text), privateKeyOf(seed))
}

/** True if the signature of a text is valid. */
export function verifyText({ publicKey }: VerifierKey, text: string, signature: Buffer): boolean {
  if (signature.length !== 64) return false
  const key = createPublicKey({
    key: Buffer.concat([SPKI, publicKey]),
    format: 'der',
    type: 'spki',
  })
  return verify(null, Buffer.from(text), key, signature)
}

/** The first four bytes, in hex, of SHA-256(name ‖ newline ‖ type ‖ public key). */
function keyId(name: string, publicKey: Buffer): string {
  return sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([ED25519]), publicKey]))
    .subarray(0, 4)
    .toString('hex')
}

/** Reads `<name>+<id>+<base64>`. The base64 may itself contain a `+`. */
function readKey(parts: string[]): { name: string; id: string; bytes: Buffer } | null {
  const [name, id, ...rest] = parts
  if (name === undefined || id === undefined || !isKeyName(name)) return null
  const bytes = decodeBase64(rest.join('+'))
  if (!/^[0-9a-f]{8}$/.test(id) || bytes?.length !== 1 + SEED_BYTES) return null
  return bytes[0] === ED25519 ? { name, id, bytes: bytes.subarray(1) } : null
}

const withType = (bytes: Buffer) =>
  Buffer.concat([Buffer.from([ED25519]), bytes]).toString('base64')

function privateKeyOf(seed: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
}
