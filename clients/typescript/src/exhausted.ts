import { clearTimeout, setTimeout } from 'node:timers'
import { type Target, urlOf } from './http.ts'
import { type Backoff, delayMs } from './outcome.ts'
import { sleep } from './sleep.ts'

/** The service sends a comment every 15 s; a connection without any for this long is dead. */
const SILENCE_MS = 60_000

/** The token keys whose quota is exhausted, as the service reports them. */
export class ExhaustedFeed {
  #hashes = new Set<string>()
  readonly #target: Target
  readonly #backoff: Backoff
  readonly #onError: (error: unknown) => void
  readonly #stopping = new AbortController()
  readonly #done: Promise<void>

  constructor(target: Target, backoff: Backoff, onError: (error: unknown) => void) {
    this.#target = target
    this.#backoff = backoff
    this.#onError = onError
    this.#done = this.#run()
  }

  /** False for every key until the first list has arrived. */
  has(hash: string): boolean {
    return this.#hashes.has(hash)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#done
  }

  async #run(): Promise<void> {
    let failures = 0
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#follow(() => {
          failures = 0
        })
      } catch (error) {
        if (!this.#stopping.signal.aborted) this.#onError(error)
      }
      await sleep(delayMs(failures++, Math.random(), 0, this.#backoff), this.#stopping.signal)
    }
  }

  /** Follows one connection to its end. The set stays as it is until the list is complete. */
  async #follow(onListed: () => void): Promise<void> {
    const connection = new AbortController()
    const abort = () => connection.abort()
    this.#stopping.signal.addEventListener('abort', abort)
    let silence = setTimeout(abort, SILENCE_MS)
    try {
      const response = await fetch(urlOf(this.#target, '/internal/quota/exhausted'), {
        headers: { authorization: `Bearer ${this.#target.token}`, accept: 'text/event-stream' },
        signal: connection.signal,
      })
      if (response.status !== 200 || response.body === null)
        throw new Error(`The list of exhausted quotas was answered ${response.status}.`)
      const next = new Set<string>()
      const decoder = new TextDecoder()
      let rest = ''
      for await (const chunk of response.body) {
        clearTimeout(silence)
        silence = setTimeout(abort, SILENCE_MS)
        const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
        rest = blocks.pop()!
        for (const block of blocks) {
          if (!apply(next, block)) continue
          this.#hashes = next
          onListed()
        }
      }
    } finally {
      clearTimeout(silence)
      this.#stopping.signal.removeEventListener('abort', abort)
    }
  }
}

/** Applies a server-sent event to a set; true if it says that the list is complete. */
export function apply(hashes: Set<string>, block: string): boolean {
  const lines = block.split('\n')
  const read = (field: string) =>
    lines
      .find((line) => line.startsWith(`${field}:`))
      ?.slice(field.length + 1)
      .trim()
  const event = read('event')
  if (event === 'listed') return true
  const data = read('data')
  if (data === undefined || (event !== 'exhausted' && event !== 'available')) return false
  const { token_hash } = JSON.parse(data) as { token_hash: string }
  if (event === 'exhausted') hashes.add(token_hash)
  else hashes.delete(token_hash)
  return false
}
