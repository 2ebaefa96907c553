import { tryDecodeEvent } from '../events/event.ts'
import type { LineEvent } from '../events/event-line.ts'
import { addExact, type Exact } from '../events/exact.ts'
import type { Totals } from './manifest.ts'

/** Adds up the totals of a manifest while an archive is written. */
export class Tally {
  readonly #apiKeys = { entries: 0 as Exact, requests: 0 as Exact, successes: 0 as Exact }
  readonly #keys = { entries: 0 as Exact, requests: 0 as Exact, tokens: 0 as Exact }
  #unreadable = 0

  /** Adds an event. */
  add({ type, version, payload }: LineEvent): void {
    // Decoding from bytes is three times as fast.
    const event = tryDecodeEvent({ type, version, payload: Buffer.from(payload) })
    switch (event?.type) {
      case undefined:
        this.#unreadable++
        return
      case 'ApiKeyStatsFlushed': {
        const { ids, requests, successes } = event.data
        addColumns(this.#apiKeys, { entries: [ids.length], requests, successes })
        return
      }
      case 'KeyStatsFlushed': {
        const { hashes, requests, tokens } = event.data
        addColumns(this.#keys, { entries: [hashes.length], requests, tokens })
        return
      }
    }
  }

  /** Returns the totals so far. */
  totals(): Totals {
    return {
      api_key_flushes: toText(this.#apiKeys),
      key_flushes: toText(this.#keys),
      unreadable_events: this.#unreadable,
    }
  }
}

function addColumns<Name extends string>(
  sums: Record<Name, Exact>,
  columns: Record<Name, readonly number[]>,
): void {
  for (const name of Object.keys(sums) as Name[]) {
    for (const count of columns[name]) sums[name] = addExact(sums[name], count)
  }
}

const toText = <Name extends string>(sums: Record<Name, Exact>) =>
  Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, String(sum)])) as Record<
    Name,
    string
  >
