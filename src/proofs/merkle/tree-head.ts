import { formatHash, type Hash, parseHash } from './hash.ts'
import type { SigningKey, VerifierKey } from './key.ts'
import { openNote, signNote } from './note.ts'

/** The size and root of a log's tree. C2SP calls a signed tree head a checkpoint. */
export type TreeHead = { origin: string; size: number; root: Hash }

/** A tree head with its signed note, which others can verify. */
export type SignedTreeHead = TreeHead & { note: string }

/** A verified tree head, or the reason why the note can't be relied on. */
export type OpenedTreeHead =
  | ({ kind: 'signed' } & SignedTreeHead)
  | { kind: 'refused'; reason: string }

/**
 * Formats the text of a tree head that is signed:
 *
 *     stats.example.com/audit/log/0
 *     70000
 *     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
 */
export function formatTreeHead({ origin, size, root }: TreeHead): string {
  return `${origin}\n${size}\n${formatHash(root)}\n`
}

/** Parses the text of a tree head. Returns null if it is not one. Ignores lines after the third. */
export function parseTreeHead(text: string): TreeHead | null {
  const [origin, size, root, ...rest] = text.split('\n')
  if (!origin || size === undefined || !/^(?:0|[1-9]\d{0,15})$/.test(size)) return null
  const hash = parseHash(root ?? '')
  const hasLines = rest.pop() === '' && rest.every((line) => line !== '')
  if (hash === null || !hasLines || !Number.isSafeInteger(Number(size))) return null
  return { origin, size: Number(size), root: hash }
}

/** Signs a tree head with each key. */
export function signTreeHead(head: TreeHead, keys: readonly SigningKey[]): SignedTreeHead {
  return { ...head, note: signNote(formatTreeHead(head), keys) }
}

/**
 * Opens a signed tree head, which one of the keys must have signed under the name of its origin.
 * Signatures by keys of other names belong to other logs or to witnesses, and don't count.
 */
export function openTreeHead(note: string, keys: readonly VerifierKey[]): OpenedTreeHead {
  const origin = note.split('\n', 1)[0]!
  const opened = openNote(
    note,
    keys.filter(({ name }) => name === origin),
  )
  switch (opened.kind) {
    case 'malformed':
      return { kind: 'refused', reason: 'it is not a signed note' }
    case 'unknown_key':
      return { kind: 'refused', reason: `no known key has signed it as ${origin}` }
    case 'wrong_signature':
      return { kind: 'refused', reason: `the signature of ${opened.key.id} is wrong` }
    case 'signed': {
      const head = parseTreeHead(opened.text)
      if (head === null) return { kind: 'refused', reason: 'the note is not a tree head' }
      return { kind: 'signed', ...head, note }
    }
    default:
      return opened satisfies never
  }
}
