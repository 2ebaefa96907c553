import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'
import { decodeBase64, sha256 } from './hash.ts'

/** The byte that stands for Ed25519 in keys of signed notes. */
const ED25519 = 1
const SEED_BYTES = 32

/** DER before the 32 bytes of an Ed25519 key (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

/** A key that signs notes under a name. The seed is its secret. */
export type SigningKey = { name: string; id: string; seed: Buffer; publicKey: Buffer }

/** What a signature is verified with; `id` is 8 hex digits that follow from the name and key. */
export type VerifierKey = { name: string; id: string; publicKey: Buffer }

/** What a key may be called (C2SP signed-note): not empty, without spaces, `+` and controls. */
export function isKeyName(name: string): boolean {
  return name !== '' && !/[+\s\p{Z}\p{Cc}\ufeff]/u.test(name) && name.isWellFormed()
}

/** Why a text can't be the name of a log's origin, as a person reads it; null where it can. */
export function findNameProblem(name: string): string | null {
  if (!isKeyName(name)) return 'must have no spaces and no "+"'
  if (name.length > 200) return 'must have at most 200 characters'
  if (name.includes('://') || name.endsWith('/')) return 'must be a host and path, without a scheme'
  return null
}

/** The signing key that a seed of 32 bytes makes, or a new one. */
export function makeSigningKey(name: string, seed: Buffer = randomBytes(SEED_BYTES)): SigningKey {
  const publicKey = createPublicKey(privateKeyOf(seed))
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI.length)
  return { name, id: keyId(name, raw), seed, publicKey: raw }
}

/**
 * A signing key as Go's sumdb/note writes it; the secret is in it:
 *
 *     PRIVATE+KEY+stats.example.com+7a1b2c3d+AQ…=
 */
export function formatSigningKey({ name, id, seed }: SigningKey): string {
  return `PRIVATE+KEY+${name}+${id}+${withType(seed)}`
}

/** Null where the text isn't a signing key of Ed25519. */
export function parseSigningKey(text: string): SigningKey | null {
  const parts = text.split('+')
  if (parts[0] !== 'PRIVATE' || parts[1] !== 'KEY') return null
  const read = readKey(parts.slice(2))
  if (read === null) return null
  const key = makeSigningKey(read.name, read.bytes)
  return key.id === read.id ? key : null
}

/**
 * A verifier key (vkey), as C2SP signed-note has it:
 *
 *     example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
 */
export function formatVerifierKey({ name, id, publicKey }: VerifierKey): string {
  return `${name}+${id}+${withType(publicKey)}`
}

/** Null where the text isn't a verifier key of Ed25519. */
export function parseVerifierKey(text: string): VerifierKey | null {
  const read = readKey(text.split('+'))
  if (read === null || keyId(read.name, read.bytes) !== read.id) return null
  return { name: read.name, id: read.id, publicKey: read.bytes }
}

export function signText({ seed }: SigningKey, text: string): Buffer {
  return sign(null, Buffer.from(text), privateKeyOf(seed))
}

export function verifyText({ publicKey }: VerifierKey, text: string, signature: Buffer): boolean {
  if (signature.length !== 64) return false
  const key = createPublicKey({
    key: Buffer.concat([SPKI, publicKey]),
    format: 'der',
    type: 'spki',
  })
  return verify(null, Buffer.from(text), key, signature)
}

/** SHA-256(name ‖ newline ‖ type ‖ public key), the first four bytes in hex. */
function keyId(name: string, publicKey: Buffer): string {
  return sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([ED25519]), publicKey]))
    .subarray(0, 4)
    .toString('hex')
}

/** `<name>+<id>+<base64>`; base64 may hold a `+` of its own. */
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
