import { api, BASE, unwrap } from '../api.ts'
import { formatCount, formatCountOf } from '../format.ts'
import { readStored, store } from '../storage.ts'
import { isConsistent } from './consistency.ts'
import { fromBase64, type Hash } from './hash.ts'
import { findSigner, type Head, type Key, readHead, readKeys } from './note.ts'

// This browser stores what it has seen of a log: the keys that it trusts, and the newest head. So a
// log that contradicts what it showed here is detected, whatever its service reports now.

/** The result of comparing a head with the stored one. */
export type Compared =
  | { kind: 'first'; head: Head }
  | { kind: 'same' | 'grown'; head: Head; before: Head; seenAt: string }
  | { kind: 'bad'; head: Head | null; reason: string; before: Head | null }

type StoredHead = { note: string; seenAt: string }

const headName = (origin: string) => `tallybook.head ${origin}`
// Other services on this host have their own keys.
const KEYS = `tallybook.keys${BASE}`

/**
 * Returns the keys that this browser trusts (at first, all that the service lists), and the listed
 * ones that it has not seen before.
 */
export async function loadKeys(): Promise<{ keys: Key[]; unknown: Key[] }> {
  const { value } = await unwrap(api.audit.log.keys.get())
  const named = await readKeys(value)
  const stored = readStored(KEYS)
  if (stored === null) {
    trustKeys(named)
    return { keys: named, unknown: [] }
  }
  const texts = new Set(stored.split('\n'))
  const unknown = named.filter(({ text }) => !texts.has(text))
  return { keys: await readKeys(stored), unknown }
}

/** Adds keys to those that this browser trusts. */
export function trustKeys(keys: Key[]): void {
  const stored = readStored(KEYS)?.split('\n') ?? []
  store(KEYS, [...new Set([...stored, ...keys.map(({ text }) => text)])].join('\n'))
}

/**
 * Compares the current head of a shard with the one that this browser saw last. Stores the current
 * one if it is valid: signed, and with a tree that begins with the last one.
 */
export async function compareHead(shard: number, keys: Key[]): Promise<Compared> {
  const head = await loadHead(shard)
  const before = head && readStoredHead(head.origin)
  const bad = (reason: string): Compared => ({
    ...{ kind: 'bad', head, reason },
    before: before?.head ?? null,
  })
  if (head === null) return bad('The service returned an invalid tree head.')
  if ((await findSigner(head, keys)) === null) {
    return bad('No key that this browser trusts has signed the tree head.')
  }
  if (!before) {
    storeHead(head)
    return { kind: 'first', head }
  }
  if (head.size < before.head.size) {
    return bad(
      `The tree has ${formatCountOf(head.size, 'event')}, but had ` +
        `${formatCount(before.head.size)} when last seen.`,
    )
  }
  const hashes = await loadConsistency(shard, before.head.size, head.size)
  if (!(await isConsistent(before.head, head, hashes))) {
    return bad('The current tree does not begin with the one that this browser saw last.')
  }
  storeHead(head)
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

function readStoredHead(origin: string): { head: Head; seenAt: string } | null {
  const text = readStored(headName(origin))
  if (text === null) return null
  const { note, seenAt } = JSON.parse(text) as StoredHead
  const head = readHead(note)
  return head && { head, seenAt }
}

function storeHead(head: Head): void {
  const stored: StoredHead = { note: head.note, seenAt: new Date().toISOString() }
  store(headName(head.origin), JSON.stringify(stored))
}
