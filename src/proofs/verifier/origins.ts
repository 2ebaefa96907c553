import type { VerifierKey } from '../merkle/key.ts'
import { parseNote } from '../merkle/note.ts'
import { openTreeHead, parseTreeHead } from '../merkle/tree-head.ts'
import type { TrustedRoot } from './trusted-roots.ts'

/** What is to be held of the last head of an origin before, which an event of the log cites. */
export type LinkedHead = { kind: 'root'; root: TrustedRoot } | { kind: 'note'; message: string }

/**
 * A head that the `OriginChanged` at `at` cites. Where a trusted key has signed it, the log has to
 * continue it; else it is only told of, as nobody knows whether it was ever signed.
 */
export function readLinkedHeads(
  at: string,
  previous: string,
  keys: readonly VerifierKey[],
): LinkedHead {
  const text = parseNote(previous)?.text
  const linked = text === undefined ? null : parseTreeHead(text)
  if (linked === null) return { kind: 'note', message: `${at} cites a head that is none` }
  const { origin, size, root } = linked
  const opened = openTreeHead(previous, keys)
  if (opened.kind === 'refused') {
    const message = `${at} says that the log was signed as ${origin} before, up to ${size} events`
    return { kind: 'note', message: `${message}; of that origin no key is trusted` }
  }
  const whose = `the last head of ${origin}, which ${at} cites`
  return { kind: 'root', root: { size, root, whose, kind: 'fork', at } }
}
