import { decodeBase64, formatHash, type Hash, parseHash } from './hash.ts'

/** A proof that a leaf is in a signed tree, complete in itself (C2SP tlog-proof). */
export type ProofFile = {
  /** What else the reader needs, such as the leaf; nothing vouches for it. */
  extra: string | null
  index: number
  /** From the leaf's sibling up to the root's child. */
  proof: Hash[]
  /** The note of the tree head. */
  head: string
}

const FIRST_LINE = 'c2sp.org/tlog-proof@v1'
/** A tree of 2^53 leaves has no longer one. */
const MAX_HASHES = 63

/**
 * The text of a `.tlog-proof` file:
 *
 *     c2sp.org/tlog-proof@v1
 *     extra eyJzaGFyZCI6MH0=
 *     index 41
 *     gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
 *
 *     stats.example.com/audit/log/0
 *     …
 */
export function formatProofFile({ extra, index, proof, head }: ProofFile): string {
  const lines = [FIRST_LINE]
  if (extra !== null) lines.push(`extra ${Buffer.from(extra).toString('base64')}`)
  lines.push(`index ${index}`, ...proof.map(formatHash))
  return `${lines.join('\n')}\n\n${head}`
}

/** Null where the text isn't such a file, to the letter. */
export function parseProofFile(text: string): ProofFile | null {
  const end = text.indexOf('\n\n')
  if (end < 0) return null
  const lines = text.slice(0, end).split('\n')
  if (lines.shift() !== FIRST_LINE) return null
  const extra = lines[0]?.startsWith('extra ') ? decodeBase64(lines.shift()!.slice(6)) : undefined
  const index = /^index (0|[1-9]\d{0,15})$/.exec(lines.shift() ?? '')?.[1]
  const proof = lines.map(parseHash)
  if (extra === null || index === undefined || proof.length > MAX_HASHES) return null
  if (!Number.isSafeInteger(Number(index)) || proof.some((hash) => hash === null)) return null
  return {
    extra: extra?.toString() ?? null,
    index: Number(index),
    proof: proof as Hash[],
    head: text.slice(end + 2),
  }
}
