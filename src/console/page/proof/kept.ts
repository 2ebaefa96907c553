import { api, BASE, unwrap } from '../api.ts'
import { formatCount, formatCountOf } from '../format.ts'
import { keep, readKept } from '../storage.ts'
import { isConsistent } from './consistency.ts'
import { fromBase64, type Hash } from './hash.ts'
import { findSigner, type Head, type Key, readHead, readKeys } from './note.ts'

// What this browser has seen of a log: the keys it trusts since it first saw them, and the newest
// head. A log that goes back on what it showed here is found out, whatever its service says today.

export type Compared =
  | { kind: 'first'; head: Head }
  | { kind: 'same' | 'grown'; head: Head; before: Head; seenAt: string }
  | { kind: 'bad'; head: Head | null; reason: string; before: Head | null }

type Kept = { note: string; seenAt: string }

const headName = (origin: string) => `tallybook.head ${origin}`
// Others on this host have keys of their own.
const KEYS = `tallybook.keys${BASE}`

/** The keys that the service names, and those of them that this browser hasn't seen before. */
export async function loadKeys(): Promise<{ keys: Key[]; unknown: Key[] }> {
  const { value } = await unwrap(api.audit.log.keys.get())
  const named = await readKeys(value)
  const kept = readKept(KEYS)
  if (kept === null) {
    trustKeys(named)
    return { keys: named, unknown: [] }
  }
  const texts = new Set(kept.split('\n'))
  const unknown = named.filter(({ text }) => !texts.has(text))
  return { keys: await readKeys(kept), unknown }
}

/** From now on this browser takes what these keys have signed. */
export function trustKeys(keys: Key[]): void {
  const kept = readKept(KEYS)?.split('\n') ?? []
  keep(KEYS, [...new Set([...kept, ...keys.map(({ text }) => text)])].join('\n'))
}

/**
 * Compares today's head of a shard with the one that this browser saw last, and keeps today's where
 * it holds: it is signed, and its tree begins with the one of then.
 */
export async function compareHead(shard: number, keys: Key[]): Promise<Compared> {
  const head = await loadHead(shard)
  const before = head && readSeen(head.origin)
  const bad = (reason: string): Compared => ({
    ...{ kind: 'bad', head, reason },
    before: before?.head ?? null,
  })
  if (head === null) return bad('What the service gives as its tree head is none.')
  if ((await findSigner(head, keys)) === null) {
    return bad('No key that this browser knows has signed the tree head.')
  }
  if (!before) {
    keepSeen(head)
    return { kind: 'first', head }
  }
  if (head.size < before.head.size) {
    return bad(
      `The tree has ${formatCountOf(head.size, 'event')}, and had ` +
        `${formatCount(before.head.size)} when last seen.`,
    )
  }
  const hashes = await loadConsistency(shard, before.head.size, head.size)
  if (!(await isConsistent(before.head, head, hashes))) {
    return bad('The tree of today does not begin with the one that this browser saw.')
  }
  keepSeen(head)
  const kind = head.size === before.head.size ? 'same' : 'grown'
  return { kind, head, before: before.head, seenAt: before.seenAt }
}

async function loadHead(shard: number): Promise<Head | null> {
  const { value } = await unwrap(api.audit.log({ shard: String(shard) }).checkpoint.get())
  return readHead(value)
}

async function loadConsistency(shard: number, from: number, to: number): Promise<Hash[]> {
  if (from === 0 || from === to) return []
  const query = { shard: String(shard), from: String(from), to: String(to) }
  const { value } = await unwrap(api.audit.proof.consistency.get({ query }))
  return value.hashes.map((text) => fromBase64(text) ?? new Uint8Array())
}

function readSeen(origin: string): { head: Head; seenAt: string } | null {
  const text = readKept(headName(origin))
  if (text === null) return null
  const { note, seenAt } = JSON.parse(text) as Kept
  const head = readHead(note)
  return head && { head, seenAt }
}

function keepSeen(head: Head): void {
  const kept: Kept = { note: head.note, seenAt: new Date().toISOString() }
  keep(headName(head.origin), JSON.stringify(kept))
}
