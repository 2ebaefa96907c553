/** One entry of a flush. */
export type Entry = { api_key_id: number; requests: number; success_requests: number }

/** An entry of a flush of token keys. */
export type KeyEntry = { token_hash: string; requests: number; tokens: number }

/** A flush that was sent at least once. */
export type SentFlush = {
  /** Idempotency key: the poster's name and a number. */
  key: string
  /** Requests that the summary counts: of known API keys; with those that an adoption may count. */
  requests: number
  most: number
  /** Null until it is acknowledged. */
  ack: { position: string; body: string } | null
  /** True after an answer that was not a replay. */
  counted: boolean
  /** The position of its reversal, once one was acknowledged. */
  reversal?: string | null
  /** True once someone tried to reverse it. */
  isReversing?: boolean
}
/** `countedAt` is the time of its own (Unix seconds) that it states, if any. */
export type Sent = SentFlush & { entries: Entry[]; countedAt?: number | null }
export type KeySent = SentFlush & { keyEntries: KeyEntry[] }

/** A reset of a quota that was sent at least once: its idempotency key, and once acknowledged where. */
export type SentReset = { key: string; hash: string; position: string | null }

/**
 * Keys 1 to 40 are known, in a group, and have an external id; 900 to 909 are unknown. Some others
 * are adopted and retired again and again.
 */
export const KNOWN_KEYS = 40
export const externalIdOf = (apiKeyId: number) => `sk-${apiKeyId}`
export const GROUPS = 4
export const isKnown = (apiKeyId: number) => apiKeyId <= KNOWN_KEYS
export const ADOPTABLE = [910, 911, 912, 913]
export const isAdoptable = (apiKeyId: number) => ADOPTABLE.includes(apiKeyId)

/** Token keys with quotas; the quota of the first never begins anew. */
export const TOKEN_KEYS = ['token-1', 'token-2', 'token-3', 'token-4']

/** What the clients of a campaign know, and the violations they found. */
export class History {
  readonly sent: Sent[] = []
  readonly keySent: KeySent[] = []
  readonly resets: SentReset[] = []
  /** Requests that must be counted, and requests that may be. */
  ackedRequests = 0
  sentRequests = 0
  /** Requests that may be taken back. */
  reversingRequests = 0
  /** `refused`: flushes refused for other entries; `doubts`: attempts without a definite answer. */
  readonly counts = {
    acked: 0,
    replayed: 0,
    refused: 0,
    doubts: 0,
    reads: 0,
    changes: 0,
    reversed: 0,
    adopted: 0,
    reset: 0,
  }
  readonly violations: string[] = []
  /** The longest time (ms) in which no poster got an acknowledgement. */
  longestOutageMs = 0
  #lastAck = performance.now()

  violate(what: string): void {
    if (this.violations.length < 100) this.violations.push(what)
  }

  /** Call before the first attempt. */
  noteSent(sent: Sent): void {
    this.sent.push(sent)
    this.sentRequests += sent.most
  }

  /** Call before the first attempt: from now on the requests of the flush may be taken back. */
  noteReversing(sent: SentFlush): void {
    if (sent.isReversing) return
    sent.isReversing = true
    this.reversingRequests += sent.requests
  }

  noteAck(sent: SentFlush, ack: { position: string; body: string }): void {
    sent.ack = ack
    this.ackedRequests += sent.requests
    this.counts.acked++
    const now = performance.now()
    this.longestOutageMs = Math.max(this.longestOutageMs, now - this.#lastAck)
    this.#lastAck = now
  }
}
