import type { VerifierKey } from '../merkle/key.ts'
import { parseNote } from '../merkle/note.ts'
import { openTreeHead, parseTreeHead } from '../merkle/tree-head.ts'
import type { TrustedRoot } from './trusted-roots.ts'

/** The last head of a previous origin, as linked by the log: a trusted root, or a remark. */
export type LinkedHead = { kind: 'root'; root: TrustedRoot } | { kind: 'note'; message: string }

/**
 * Opens the head that the `OriginChanged` event at `at` links. If a trusted key has signed it, the
 * log must continue it. Otherwise it is only mentioned, as it may never have been signed.
 */
export function readLinkedHeads(
  at: string,
  previous: string,
  keys: readonly VerifierKey[],
): LinkedHead {
  const text = parseNote(previous)?.text
  const linked = text === undefined ? null : parseTreeHead(text)
  if (linked === null) return { kind: 'note', message: `${at} links an invalid tree head` }
  const { origin, size, root } = linked
  const opened = openTreeHead(previous, keys)
  if (opened.kind === 'refused') {
    const message = `${at} states that the log was signed as ${origin} before, up to ${size} events`
    return { kind: 'note', message: `${message}, but no key of that origin is trusted` }
  }
  const whose = `the last head of ${origin} (linked by ${at})`
  return { kind: 'root', root: { size, root, whose, kind: 'fork', at } }
}
