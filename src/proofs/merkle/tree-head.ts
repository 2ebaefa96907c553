import { formatHash, type Hash, parseHash } from './hash.ts'
import type { SigningKey, VerifierKey } from './key.ts'
import { openNote, signNote } from './note.ts'

/** How large a log's tree is, and its root. C2SP calls the signed one a checkpoint. */
export type TreeHead = { origin: string; size: number; root: Hash }

/** A tree head and the note that says so, which others can verify. */
export type SignedTreeHead = TreeHead & { note: string }

/** What a note says as a tree head, or why it is none that can be relied on. */
export type OpenedTreeHead =
  | ({ kind: 'signed' } & SignedTreeHead)
  | { kind: 'refused'; reason: string }

/**
 * The text of a tree head, to be signed:
 *
 *     stats.example.com/audit/log/0
 *     70000
 *     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
 */
export function formatTreeHead({ origin, size, root }: TreeHead): string {
  return `${origin}\n${size}\n${formatHash(root)}\n`
}

/** Null where the text isn't a tree head; lines after the third are no matter. */
export function parseTreeHead(text: string): TreeHead | null {
  const [origin, size, root, ...rest] = text.split('\n')
  if (!origin || size === undefined || !/^(?:0|[1-9]\d{0,15})$/.test(size)) return null
  const hash = parseHash(root ?? '')
  const hasLines = rest.pop() === '' && rest.every((line) => line !== '')
  if (hash === null || !hasLines || !Number.isSafeInteger(Number(size))) return null
  return { origin, size: Number(size), root: hash }
}

export function signTreeHead(head: TreeHead, keys: readonly SigningKey[]): SignedTreeHead {
  return { ...head, note: signNote(formatTreeHead(head), keys) }
}

/**
 * Opens a signed tree head: one of the keys has signed it under the name of its origin. A key of
 * another name is another log's, or a witness's.
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
