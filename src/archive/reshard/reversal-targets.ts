import { join } from 'node:path'
import { tryDecodeEvent } from '../../events/event.ts'
import { type LineEvent, parseEventLine } from '../../events/event-line.ts'
import type { Location } from '../../events/positions.ts'
import type { ShardsChange } from '../../events/statement.ts'
import type { Manifest } from '../manifest.ts'
import { readPart } from '../read-part.ts'

/** The types of lines that say which event is reversed. */
const LINES = /"type":"(?:EventReversed|ShardsChanged)"/

/**
 * Follows reversals into a log with other positions. They name positions of the archived log, or of
 * one before that was resharded to it.
 */
export class ReversalTargets {
  /** The old position of what each reversal reverses, by the reversal's old position in shard 0. */
  readonly #targets = new Map<number, string>()
  /** The new location of each event of interest, by its old position. */
  readonly #locations = new Map<string, Location | null>()

  /** Reads the reversals of an archive. */
  static async read(directory: string, manifest: Manifest): Promise<ReversalTargets> {
    const moved = new ReversalTargets()
    const [first] = manifest.shards
    if (!first?.types.EventReversed) return moved
    for (const part of first.parts) {
      for await (const lines of readPart(join(directory, part.file))) {
        for (const line of lines) if (LINES.test(line)) moved.#addLine(line)
      }
    }
    for (const [position, target] of moved.#targets) {
      moved.#locations.set(`0/${position}`, null)
      moved.#locations.set(target, null)
    }
    return moved
  }

  /** Notes where an event of the archive is now. */
  note({ shard, position }: LineEvent, location: Location): void {
    if (this.#locations.size === 0) return
    const place = `${shard}/${position}`
    if (this.#locations.has(place)) this.#locations.set(place, location)
  }

  /** Returns what the new shard 0 must state. */
  toList(): NonNullable<ShardsChange['reversals']> {
    return [...this.#targets].flatMap(([position, target]) => {
      const reversal = this.#locations.get(`0/${position}`)
      const reversed = this.#locations.get(target)
      if (!reversal || !reversed) return []
      return [[reversal.position, `${reversed.shard}/${reversed.position}`] as [number, string]]
    })
  }

  #addLine(line: string): void {
    const parsed = parseEventLine(line)
    // The check of the archive, which follows, reports it.
    if (parsed.kind === 'malformed') return
    const { type, version, payload, position } = parsed.event
    // The first match may be in a payload.
    if (type !== 'EventReversed' && type !== 'ShardsChanged') return
    const event = tryDecodeEvent({ type, version, payload })
    if (event?.type === 'EventReversed') this.#targets.set(position, event.data.reversed)
    if (event?.type !== 'ShardsChanged') return
    for (const [at, place] of event.data.reversals ?? []) this.#targets.set(at, place)
  }
}
