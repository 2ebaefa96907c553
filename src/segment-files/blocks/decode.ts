import { hashPayload, type StoredEvent } from '../../events/event.ts'
import { type BlockHeader, type EventTemplate, readHeader } from './header.ts'
import { BlockError, NumberColumn } from './numbers.ts'
import { formatPart, type Part, piecesOf, type Slot, slotsOf } from './template.ts'
import { fromMicroseconds } from './time.ts'

/** The place of a block in the log, and how many events it has. */
export type BlockPlace = { shard: number; first_position: number; events: number }

/**
 * Reads the events of a block that is not compressed, with the texts of the segment's dictionary.
 * Throws BlockError if it is not one. Takes no more memory than its bytes and the characters that
 * it states, at most `maxCharacters`.
 */
export function decodeBlock(
  plain: Buffer,
  place: BlockPlace,
  dictionary: readonly string[],
  maxCharacters: number,
): StoredEvent[] {
  const { header, columns } = readHeader(plain)
  if (header.events !== place.events) throw new BlockError('it has another number of events')
  if (header.characters > maxCharacters) throw new BlockError('its payloads are too long')
  return new BlockDecoder(header, columns, dictionary).decode(place)
}

type KnownTemplate = { template: EventTemplate; pieces: string[]; slots: Slot[] }

class BlockDecoder {
  readonly #columns = new Map<string, NumberColumn>()
  readonly #templates: KnownTemplate[]
  /** Characters that payloads may still have. */
  #left: number
  #keys = 0

  constructor(
    private readonly header: BlockHeader,
    bytes: Buffer,
    private readonly dictionary: readonly string[],
  ) {
    this.#left = header.characters
    this.#templates = header.templates.map((template) => ({
      template,
      pieces: piecesOf(template[4]),
      slots: slotsOf(template[4]),
    }))
    let at = 0
    for (const [name, length, width] of header.columns) {
      const end = at + length * width
      this.#columns.set(name, new NumberColumn(bytes.subarray(at, end), length, width))
      at = end
    }
    if (at !== bytes.length || this.#columns.size !== header.columns.length) {
      throw new BlockError('its columns are not those of its header')
    }
  }

  decode({ shard, first_position, events }: BlockPlace): StoredEvent[] {
    const decoded: StoredEvent[] = []
    let time = this.header.time
    for (let i = 0; i < events; i++) {
      const known = this.#templates[this.#column('template').next()]
      if (known === undefined) throw new BlockError('an event has no template')
      const [type, version, source, hasKey] = known.template
      time += this.#column('time').next()
      const payload = this.#join(known)
      decoded.push({
        ...{ shard, position: first_position + i, type, version, source },
        recordedAt: formatTime(time),
        idempotencyKey: hasKey ? this.#nextKey() : null,
        payload,
        payloadBytes: payload.length,
        payloadSha256: hashPayload(payload),
      })
    }
    const isRead = [...this.#columns.values()].every(({ left }) => left === 0)
    if (!isRead || this.#left !== 0 || this.#keys !== this.header.keys.length) {
      throw new BlockError('it has more than its events')
    }
    return decoded
  }

  #nextKey(): string {
    const key = this.header.keys[this.#keys++]
    if (key === undefined) throw new BlockError('an event has no key')
    return key
  }

  #join({ pieces, slots }: KnownTemplate): string {
    const left = this.#left
    let payload = pieces[0]!
    for (const [i, slot] of slots.entries()) {
      payload += formatPart(this.#readPart(slot)) + pieces[i + 1]!
      if (payload.length > left) throw tooLong()
    }
    this.#left = left - payload.length
    if (this.#left < 0) throw tooLong()
    return payload
  }

  #readPart({ kind, name }: Slot): Part {
    switch (kind) {
      case 'list':
        return { kind, numbers: this.#readList(name, 2) }
      case 'packed': {
        const bits = this.#column(`bits ${name}`).next()
        if (bits < 1 || bits > 53) throw new BlockError('a width is out of range')
        return { kind, bits, numbers: this.#readList(name, bits / 6) }
      }
      case 'texts':
        return { kind, texts: this.#readTexts(name) }
      case 'number':
        return { kind, number: this.#column(`number ${name}`).next() }
      default:
        return kind satisfies never
    }
  }

  /** Reads numbers of which each takes some characters of the payload, at least. */
  #readList(name: string, characters: number): number[] {
    const length = this.#column(`length ${name}`).next()
    const column = this.#column(`list ${name}`)
    // One more, because the last number has no comma.
    if (length > column.left || length * characters > this.#left + 1) throw tooLong()
    const numbers = new Array<number>(length)
    for (let i = 0; i < length; i++) numbers[i] = column.next()
    return numbers
  }

  #readTexts(name: string): string[] {
    let characters = 0
    return this.#readList(`text ${name}`, 2).map((code) => {
      const texts = code % 2 === 0 ? this.dictionary : this.header.texts
      const text = texts[Math.floor(code / 2)]
      if (text === undefined) throw new BlockError('a text is missing')
      characters += text.length
      if (characters > this.#left) throw tooLong()
      return text
    })
  }

  #column(name: string): NumberColumn {
    const column = this.#columns.get(name)
    if (column === undefined) throw new BlockError('a column is missing')
    return column
  }
}

const tooLong = () => new BlockError('its payloads are longer than it states')

function formatTime(time: number): string {
  if (!Number.isSafeInteger(time)) throw new BlockError('a time is out of range')
  return fromMicroseconds(time)
}
