import { decodeBase64 } from './hash.ts'
import { isKeyName, type SigningKey, signText, type VerifierKey, verifyText } from './key.ts'

/** A signature of a note, with the name and id of its key. */
export type NoteSignature = { name: string; id: string; signature: Buffer }

/** A text, which ends with a newline, and its signatures (C2SP signed-note). */
export type Note = { text: string; signatures: NoteSignature[] }

/** The result of opening a note with a set of keys. */
export type OpenedNote =
  | { kind: 'signed'; text: string; by: VerifierKey[] }
  | { kind: 'malformed' }
  /** None of the given keys has signed it. */
  | { kind: 'unknown_key'; signatures: NoteSignature[] }
  /** A signature has the name and id of a given key, but the key did not make it. */
  | { kind: 'wrong_signature'; key: VerifierKey }

/** Limits beyond which a text is no note. C2SP asks verifiers for at least 16 signatures. */
const MAX_SIGNATURES = 100
const MAX_CHARACTERS = 1_000_000

/** Signs a text with each key, and appends the `others` signatures. */
export function signNote(
  text: string,
  keys: readonly SigningKey[],
  others: readonly NoteSignature[] = [],
): string {
  const own = keys.map((key) => ({ name: key.name, id: key.id, signature: signText(key, text) }))
  const lines = [...own, ...others].map(
    ({ name, id, signature }) =>
      `— ${name} ${Buffer.concat([Buffer.from(id, 'hex'), signature]).toString('base64')}\n`,
  )
  return `${text}\n${lines.join('')}`
}

/** Parses a note. Returns null if it is malformed. Verifies no signature. */
export function parseNote(note: string): Note | null {
  if (note.length > MAX_CHARACTERS || !note.isWellFormed() || hasControls(note)) return null
  const end = note.lastIndexOf('\n\n')
  if (end < 0 || !note.endsWith('\n')) return null
  const lines = note.slice(end + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) return null
  const signatures = lines.map(readSignature)
  if (signatures.some((signature) => signature === null)) return null
  return { text: note.slice(0, end + 1), signatures: signatures as NoteSignature[] }
}

/**
 * Opens a note. The result is `signed` if at least one of the keys has signed it and none of their
 * signatures is wrong. Signatures of other keys are ignored.
 */
export function openNote(note: string, keys: readonly VerifierKey[]): OpenedNote {
  const parsed = parseNote(note)
  if (parsed === null) return { kind: 'malformed' }
  const { text, signatures } = parsed
  const by = new Set<VerifierKey>()
  for (const { name, id, signature } of signatures) {
    const key = keys.find((known) => known.name === name && known.id === id)
    if (!key) continue
    if (!verifyText(key, text, signature)) return { kind: 'wrong_signature', key }
    by.add(key)
  }
  return by.size > 0 ? { kind: 'signed', text, by: [...by] } : { kind: 'unknown_key', signatures }
}

/** True if there is an ASCII control character other than a newline. */
function hasControls(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 && code !== 0x0a) return true
  }
  return false
}

/** Reads `— <name> <base64 of the key id and the signature>`. */
function readSignature(line: string): NoteSignature | null {
  const [, name, base64] = /^— (\S+) (\S+)$/u.exec(line) ?? []
  if (name === undefined || base64 === undefined || !isKeyName(name)) return null
  const bytes = decodeBase64(base64)
  if (bytes === null || bytes.length < 5) return null
  return { name, id: bytes.subarray(0, 4).toString('hex'), signature: bytes.subarray(4) }
}
