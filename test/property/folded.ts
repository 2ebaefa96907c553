import type { Event } from '../../src/events/event.ts'
import type { Transaction } from '../../src/platform/postgres/pool.ts'
import { contentOf } from '../../src/read-model/projections/entry.ts'
import { CURRENT } from '../../src/read-model/projections/index.ts'

/** The rows that folds would write, by projection and id, and every text in them. */
export type FoldRows = {
  counters: Record<string, Record<string, bigint[]>>
  texts: string[]
}

/** A statement, or a fragment of one, with the texts that it passes. */
type Tagged = { texts: string[] }

const tagged = (_: unknown, ...values: unknown[]): Tagged => ({
  texts: values.flatMap((value) => {
    if (typeof value === 'string') return [value]
    return typeof value === 'object' && value !== null ? (value as Tagged).texts : []
  }),
})
tagged.unsafe = (): Tagged => ({ texts: [] })

/**
 * Folds the events with each current projection and collects what would be written: the arrays of
 * its statements, of which the first contains the ids.
 */
export function foldRows(events: Event[]): FoldRows {
  const rows: FoldRows = { counters: {}, texts: [] }
  for (const { name, createFold } of CURRENT) {
    const fold = createFold()
    const recordedAt = '2030-01-31T12:00:00.000000+00:00'
    for (const event of events)
      fold.add({ ...contentOf(event, recordedAt), position: 0, recordedAt })
    const target = { shard: 0, generation: 1, after: -1, position: 0 }
    const written = [...fold.write(tagged as unknown as Transaction, target)]
    const statements = written.flatMap((one) => (one === null ? [] : [one as unknown as Tagged]))
    rows.texts.push(...statements.flatMap(({ texts }) => texts))
    if (name === 'catalog' || name === 'bookkeeping') continue
    rows.counters[name] = {}
    for (const { texts } of statements) {
      const [ids, ...columns] = texts.filter((text) => text.startsWith('{')).map(readArray)
      ids!.forEach((id, i) => {
        if (rows.counters[name]![id]) throw new Error(`${name} writes ${id} twice`)
        rows.counters[name]![id] = columns.map((column) => BigInt(column[i]!))
      })
    }
  }
  return rows
}

/** Combines what several folds wrote: sums, and the newest last access. */
export function sumRows(batches: FoldRows[]): FoldRows['counters'] {
  const sums: FoldRows['counters'] = {}
  for (const { counters } of batches) {
    for (const [name, rows] of Object.entries(counters)) {
      sums[name] ??= {}
      for (const [id, numbers] of Object.entries(rows)) {
        const sum = sums[name][id] ?? numbers.map(() => 0n)
        sums[name][id] = numbers.map((number, i) => {
          if (i < 3) return sum[i]! + number
          return [number, sum[i]!].sort((a, b) => (a < b ? 1 : -1))[0]!
        })
      }
    }
  }
  return sums
}

/** Parses an array as a statement passes it: `{1,"a\"b"}`. */
function readArray(text: string): string[] {
  const members = text.slice(1, -1).match(/"(?:[^"\\]|\\.)*"|[^,]+/gs) ?? []
  return members.map((member) =>
    member.startsWith('"') ? member.slice(1, -1).replace(/\\(.)/gs, '$1') : member,
  )
}
