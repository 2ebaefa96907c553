/** One entry of a flush. */
export type Entry = { api_key_id: number; requests: number; success_requests: number }

/** A flush that was sent at least once. */
export type Sent = {
  /** Idempotency key: the poster's name and its number. */
  key: string
  entries: Entry[]
  /** Requests of known keys: what the summary counts. */
  requests: number
  /** Null until it is acknowledged. */
  ack: { position: string; body: string } | null
  /** An answer said that it was counted, not that it had been. */
  counted: boolean
}

/** Keys 1 to 40 are known and in a group; 900 to 909 nobody knows. */
export const KNOWN_KEYS = 40
export const GROUPS = 4
export const isKnown = (apiKeyId: number) => apiKeyId <= KNOWN_KEYS

/** What the clients of a campaign know, and what they found wrong. */
export class History {
  readonly sent: Sent[] = []
  /** Requests that must be counted, and that may be. */
  ackedRequests = 0
  sentRequests = 0
  /** Flushes acknowledged, answered as a replay, refused for other entries; tries without an answer. */
  readonly counts = { acked: 0, replayed: 0, refused: 0, doubts: 0, reads: 0, changes: 0 }
  readonly violations: string[] = []
  /** Milliseconds of the longest time in which no poster had an acknowledgement. */
  longestOutageMs = 0
  #lastAck = performance.now()

  violate(what: string): void {
    if (this.violations.length < 100) this.violations.push(what)
  }

  /** Before its first try. */
  noteSent(sent: Sent): void {
    this.sent.push(sent)
    this.sentRequests += sent.requests
  }

  noteAck(sent: Sent, ack: { position: string; body: string }): void {
    sent.ack = ack
    this.ackedRequests += sent.requests
    this.counts.acked++
    const now = performance.now()
    this.longestOutageMs = Math.max(this.longestOutageMs, now - this.#lastAck)
    this.#lastAck = now
  }
}
