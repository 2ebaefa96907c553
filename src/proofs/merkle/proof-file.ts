import { decodeBase64, formatHash, type Hash, parseHash } from './hash.ts'

/** A self-contained proof that a leaf is in a signed tree (C2SP tlog-proof). */
export type ProofFile = {
  /** Additional data for the reader, such as the leaf. The proof does not cover it. */
  extra: string | null
  index: number
  /** Hashes from the leaf's sibling up to the root's child. */
  proof: Hash[]
  /** The note of the tree head. */
  head: string
}

const FIRST_LINE = 'c2sp.org/tlog-proof@v1'
/** Maximum hashes of a proof. A tree of 2^53 leaves needs fewer. */
const MAX_HASHES = 63

/**
 * Formats a `.tlog-proof` file:
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

/** Parses a `.tlog-proof` file. Returns null unless it has exactly that form. */
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
