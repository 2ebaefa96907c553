import type { BlockHeader } from './header.ts'
import { BlockError, NumberColumn } from './numbers.ts'
import type { Slot, SlotKind } from './template.ts'

/** The columns that have the parts of a slot; null for those that its kind does not have. */
export type SlotColumns = {
  kind: SlotKind
  bits: NumberColumn | null
  length: NumberColumn | null
  numbers: NumberColumn
}

/** The columns of a block, each read from its beginning. */
export class BlockColumns {
  readonly template: NumberColumn
  readonly time: NumberColumn
  readonly #columns = new Map<string, NumberColumn>()

  /** Throws BlockError unless the bytes are the columns that the header names. */
  constructor(header: BlockHeader, bytes: Buffer) {
    let at = 0
    for (const [name, length, width] of header.columns) {
      const end = at + length * width
      this.#columns.set(name, new NumberColumn(bytes.subarray(at, end), length, width))
      at = end
    }
    if (at !== bytes.length || this.#columns.size !== header.columns.length) {
      throw new BlockError('its columns are not those of its header')
    }
    this.template = this.#column('template')
    this.time = this.#column('time')
  }

  /** True if every number was read, but for the times, which are read apart. */
  get isRead(): boolean {
    return [...this.#columns.values()].every((column) => column.left === 0 || column === this.time)
  }

  /** Returns the columns of a slot. Throws BlockError if one is missing. */
  of({ kind, name }: Slot): SlotColumns {
    if (kind === 'number') {
      return { kind, bits: null, length: null, numbers: this.#column(`number ${name}`) }
    }
    const list = kind === 'texts' ? `text ${name}` : name
    return {
      kind,
      bits: kind === 'packed' ? this.#column(`bits ${name}`) : null,
      length: this.#column(`length ${list}`),
      numbers: this.#column(`list ${list}`),
    }
  }

  #column(name: string): NumberColumn {
    const column = this.#columns.get(name)
    if (column === undefined) throw new BlockError('a column is missing')
    return column
  }
}
