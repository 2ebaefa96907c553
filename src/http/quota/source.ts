import type { StreamSource } from '../streams.ts'

/** How long a disconnected client waits before it reconnects, in milliseconds. */
const CLIENT_RETRY_MS = 1_000

/** Approximate characters that `next` returns at once. */
const NEXT_CHARS = 64 * 1024

/** Tells that the list is complete. */
const LISTED = 'event: listed\ndata: {}\n\n'

type Options = {
  /** Returns a change by its number, null if there is none yet, or undefined if it was dropped. */
  changeAt: (number: number) => string | null | undefined
  onEnd: () => void
}

/**
 * One stream: where it is in the list that it began with, and then among the changes. Both are
 * shared by all streams, so a slow client costs no memory.
 */
export class ExhaustedSource implements StreamSource {
  #list: readonly string[] | null = null
  #listed = 0
  #isListed = false
  #change = 0
  #isFirst = true
  #isKeepAliveDue = false
  #isOver = false
  #resolve: (() => void) | null = null

  constructor(private readonly options: Options) {}

  /** Begins with this list; `change` is the number of the first change after it. */
  begin(list: readonly string[], change: number): void {
    if (this.#list !== null) return
    this.#list = list
    this.#change = change
    this.wake()
  }

  /** Requests that something is sent, so that proxies don't close the connection as idle. */
  keepAlive(): void {
    this.#isKeepAliveDue = true
    this.wake()
  }

  async next(): Promise<Uint8Array[] | null> {
    for (;;) {
      if (this.#isOver) return null
      const text = this.#take()
      if (text === null) return null
      if (text !== '') return [Buffer.from(text)]
      // Nothing else runs between #take and here, so no wake is lost.
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
      })
    }
  }

  end(): void {
    this.#isOver = true
    this.wake()
    this.options.onEnd()
  }

  /** Called when there may be something new. */
  wake(): void {
    this.#resolve?.()
    this.#resolve = null
  }

  /** Returns what can be sent, '' if nothing, or null if the stream has fallen too far behind. */
  #take(): string | null {
    let text = this.#isFirst ? `retry: ${CLIENT_RETRY_MS}\n\n` : ''
    this.#isFirst = false
    const list = this.#list
    for (
      ;
      list !== null && text.length < NEXT_CHARS && this.#listed < list.length;
      this.#listed++
    ) {
      text += list[this.#listed]
    }
    if (list !== null && this.#listed === list.length) {
      if (!this.#isListed) text += LISTED
      this.#isListed = true
      for (; text.length < NEXT_CHARS; this.#change++) {
        const change = this.options.changeAt(this.#change)
        if (change === undefined) return null
        if (change === null) break
        text += change
      }
    }
    if (text === '' && this.#isKeepAliveDue) text = ':\n\n'
    this.#isKeepAliveDue = false
    return text
  }
}
