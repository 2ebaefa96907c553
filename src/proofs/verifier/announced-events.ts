import type { Event } from '../../events/event.ts'
import { type LineEvent, parseEventLine, toEventLine } from '../../events/event-line.ts'
import { equalHashes, type Hash, sha256 } from '../merkle/hash.ts'
import type { OnFinding } from './finding.ts'
import { readEvent } from './read-event.ts'
import type { ServiceEventType } from './sources/source.ts'

/** Characters of a statement's payload: a service writes some 2,000. */
const MAX_CHARACTERS = 64 * 1024

/**
 * The statements of one type in a shard, as a list of them tells ahead of the walk. The walk then
 * confirms each where it stands in the log: the list could tell of others than the log has.
 */
export class AnnouncedEvents {
  /** Hashes of the events that were told and not come to yet, by position. */
  readonly #events = new Map<number, Hash>()
  #lines: AsyncIterator<string> | null = null
  #last = -1

  constructor(
    private readonly shard: number,
    private readonly type: ServiceEventType,
    private readonly report: OnFinding,
  ) {}

  /** How many were told that the walk hasn't come to. */
  get ahead(): number {
    return this.#events.size
  }

  /** True where more may be told. */
  get isOpen(): boolean {
    return this.#lines !== null
  }

  /** Takes up a list, of what is new since the one before. */
  begin(lines: AsyncIterable<string>): void {
    this.#lines = lines[Symbol.asyncIterator]()
  }

  /** The next statement that is told; null where there is none any more. */
  async next(): Promise<{ position: number; said: Event } | null> {
    for (;;) {
      const read = await this.#lines?.next()
      if (!read || read.done) {
        this.#lines = null
        return null
      }
      const parsed = parseEventLine(read.value)
      if (parsed.kind === 'malformed' || !this.#isNext(parsed.event)) continue
      const { position } = parsed.event
      const said = readEvent(parsed.event)
      if (said === null) continue
      this.#last = position
      this.#events.set(position, hashEvent(parsed.event))
      return { position, said }
    }
  }

  /** An event of this type stands in the log. */
  confirm(event: LineEvent): void {
    const told = this.#events.get(event.position)
    this.#events.delete(event.position)
    if (told && equalHashes(told, hashEvent(event))) return
    // What can't be read says nothing.
    if (told === undefined && readEvent(event) === null) return
    const isLarge = event.payload.length > MAX_CHARACTERS
    const why = told === undefined ? 'left it out' : 'told of another'
    this.#find(event.position, isLarge ? 'it is too large to be one' : `the list of them ${why}`)
  }

  /** The log was gone through up to `size` events: each that was told of should have been there. */
  end(size: number): void {
    for (const position of this.#events.keys()) {
      if (position < size) this.#find(position, 'the list of them has it, and the log does not')
      this.#events.delete(position)
    }
  }

  /** Reads no more of the list. */
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
