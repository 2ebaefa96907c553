import { type Event, tryDecodeEvent } from '../../events/event.ts'
import { type LineEvent, parseEventLine, toEventLine } from '../../events/event-line.ts'
import { equalHashes, type Hash, sha256 } from '../merkle/hash.ts'
import type { OnFinding } from './finding.ts'
import type { ServiceEventType } from './sources/source.ts'

/** Maximum characters of an announced payload. A service writes about 2,000. */
const MAX_CHARACTERS = 64 * 1024

/**
 * The service events of one type in a shard, read from a list ahead of the walk. The list might
 * contain others than the log, so the walk confirms each event at its position.
 */
export class AnnouncedEvents {
  /** Hashes of the announced events that the walk has not reached, by position. */
  readonly #events = new Map<number, Hash>()
  #lines: AsyncIterator<string> | null = null
  #last = -1

  constructor(
    private readonly shard: number,
    private readonly type: ServiceEventType,
    private readonly report: OnFinding,
  ) {}

  /** The number of announced events that the walk has not reached. */
  get pending(): number {
    return this.#events.size
  }

  /** True if the list may have more events. */
  get isOpen(): boolean {
    return this.#lines !== null
  }

  /** Starts to read a list of the events since the previous list. */
  begin(lines: AsyncIterable<string>): void {
    this.#lines = lines[Symbol.asyncIterator]()
  }

  /** Returns the next event of the list, or null at its end. */
  async next(): Promise<{ position: number; event: Event } | null> {
    for (;;) {
      const read = await this.#lines?.next()
      if (!read || read.done) {
        this.#lines = null
        return null
      }
      const parsed = parseEventLine(read.value)
      if (parsed.kind === 'malformed' || !this.#isNext(parsed.event)) continue
      const { position } = parsed.event
      const event = tryDecodeEvent(parsed.event)
      if (event === null) continue
      this.#last = position
      this.#events.set(position, hashEvent(parsed.event))
      return { position, event }
    }
  }

  /** Compares an event of this type in the log with the announced one. */
  confirm(event: LineEvent): void {
    const announced = this.#events.get(event.position)
    this.#events.delete(event.position)
    if (announced && equalHashes(announced, hashEvent(event))) return
    // An event that can't be decoded counts nothing, so the list may omit it.
    if (announced === undefined && tryDecodeEvent(event) === null) return
    const isLarge = event.payload.length > MAX_CHARACTERS
    const why = announced === undefined ? 'omits it' : 'has a different one'
    this.#find(
      event.position,
      isLarge ? `more than ${MAX_CHARACTERS} characters` : `the list of such events ${why}`,
    )
  }

  /**
   * Reports the announced events below `size` that the walk did not find, and forgets all others.
   */
  end(size: number): void {
    for (const position of this.#events.keys()) {
      if (position < size) this.#find(position, 'listed, but not in the log')
      this.#events.delete(position)
    }
  }

  /** Stops reading the list. */
  async close(): Promise<void> {
    const lines = this.#lines
    this.#lines = null
    await lines?.return?.()
  }

  #isNext({ shard, position, type, payload }: LineEvent): boolean {
    const isOne = shard === this.shard && type === this.type && payload.length <= MAX_CHARACTERS
    return isOne && position > this.#last
  }

  #find(position: number, why: string): void {
    const message = `${this.type} at this position: ${why}`
    this.report({ kind: 'attestation', at: `${this.shard}/${position}`, message })
  }
}

const hashEvent = (event: LineEvent) => sha256(toEventLine(event))
