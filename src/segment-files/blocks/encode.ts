import { hashPayload } from '../../events/event.ts'
import type { LineEvent } from '../../events/event-line.ts'
import type { Dictionary } from './dictionary.ts'
import type { BlockHeader, EventTemplate } from './header.ts'
import { toPlanes, widthOf } from './numbers.ts'
import { type Part, type Slot, slotsOf, splitPayload } from './template.ts'
import { toMicroseconds } from './time.ts'

/** An event can't be put into a segment. The message says why. */
export class UnfitEvent extends Error {
  override name = 'UnfitEvent'
}

/** A block before compression: its header, and its columns, one after the other. */
export type PlainBlock = { header: BlockHeader; columns: Buffer<ArrayBuffer>[] }

/** Collects the events of a block, column by column. */
export class BlockBuilder {
  events = 0
  /** Characters of the payloads so far. */
  characters = 0
  #firstTime = 0
  #time = 0
  readonly #templates: EventTemplate[] = []
  /** The number of each template, and its slots. */
  readonly #known = new Map<string, { number: number; slots: Slot[] }>()
  readonly #keys: string[] = []
  /** Texts that the dictionary has no room for. */
  readonly #texts: string[] = []
  readonly #textNumbers = new Map<string, number>()
  readonly #columns = new Map<string, number[]>()

  constructor(private readonly dictionary: Dictionary) {}

  /**
   * Adds the next event. Throws UnfitEvent if it can't be told from its columns: its payload has
   * another hash than it states, or its time is before the one of the event before.
   */
  add(event: LineEvent): void {
    const at = toMicroseconds(event.recordedAt)
    if (at === null) throw unfit(event, `recorded_at ${event.recordedAt} is out of range`)
    if (this.events === 0) {
      this.#firstTime = at
      this.#time = at
    }
    if (at < this.#time) throw unfit(event, 'it was recorded before the event before it')
    const split = splitPayload(event.payload)
    if (split === null) throw unfit(event, 'its payload is not JSON')
    if (hashPayload(event.payload) !== event.payloadSha256) {
      throw unfit(event, 'its payload does not match payload_sha256')
    }
    const { number, slots } = this.#templateOf(event, split.template)
    this.#column('template').push(number)
    this.#column('time').push(at - this.#time)
    this.#time = at
    if (event.idempotencyKey !== null) this.#keys.push(event.idempotencyKey)
    for (const [i, part] of split.parts.entries()) this.#addPart(slots[i]!.name, part)
    this.events++
    this.characters += event.payload.length
  }

  /** Returns the block of what was added. */
  end(): PlainBlock {
    const columns = [...this.#columns].map(
      ([name, values]) => ({ name, values, width: widthOf(values) }) as const,
    )
    return {
      header: {
        events: this.events,
        characters: this.characters,
        time: this.#firstTime,
        templates: this.#templates,
        keys: this.#keys,
        texts: this.#texts,
        columns: columns.map(({ name, values, width }) => [name, values.length, width]),
      },
      columns: columns.map(({ values, width }) => toPlanes(values, width)),
    }
  }

  #templateOf(event: LineEvent, payload: string) {
    const { type, version, source, idempotencyKey } = event
    const template: EventTemplate = [type, version, source, idempotencyKey !== null, payload]
    const text = JSON.stringify(template)
    let known = this.#known.get(text)
    if (known === undefined) {
      known = { number: this.#templates.push(template) - 1, slots: slotsOf(payload) }
      this.#known.set(text, known)
    }
    return known
  }

  #addPart(name: string, part: Part): void {
    switch (part.kind) {
      case 'list':
        this.#addList(name, part.numbers)
        return
      case 'packed':
        this.#column(`bits ${name}`).push(part.bits)
        this.#addList(name, part.numbers)
        return
      case 'texts':
        this.#addList(
          `text ${name}`,
          part.texts.map((text) => this.#codeOf(text)),
        )
        return
      case 'number':
        this.#column(`number ${name}`).push(part.number)
        return
      default:
        part satisfies never
    }
  }

  #addList(name: string, numbers: readonly number[]): void {
    this.#column(`length ${name}`).push(numbers.length)
    const column = this.#column(`list ${name}`)
    for (const number of numbers) column.push(number)
  }

  /** Even for a text of the dictionary, odd for one of the block. */
  #codeOf(text: string): number {
    const shared = this.dictionary.numberOf(text)
    if (shared !== null) return 2 * shared
    const known = this.#textNumbers.get(text)
    if (known !== undefined) return 2 * known + 1
    const number = this.#texts.push(text) - 1
    this.#textNumbers.set(text, number)
    return 2 * number + 1
  }

  #column(name: string): number[] {
    let column = this.#columns.get(name)
    if (column === undefined) {
      column = []
      this.#columns.set(name, column)
    }
    return column
  }
}

const unfit = ({ shard, position }: LineEvent, reason: string) =>
  new UnfitEvent(`Event ${shard}/${position}: ${reason}.`)
