import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { addExact, type Exact, toExact } from '../../src/events/exact.ts'
import type { PostedFlush } from '../../src/events/flush.ts'
import { formatPositions, parsePositions } from '../../src/events/positions.ts'
import { parseFlush } from '../../src/http/flushes/model.ts'
import { count, flushText } from './arbitraries.ts'
import { type Entry, type Kind, readNaively, readTimeNaively } from './naive-body.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'

const runs = runsOf(3_000)

for (const kind of ['api-keys', 'keys'] as const) {
  const keys = kind === 'keys' ? fc.constantFrom('"k1"', '" k1"') : fc.constantFrom('1', '2', '0')
  test(
    `a body of ${kind} means what a naive reader of the contract reads, in ${runs} runs`,
    () => {
      const seen = { accepted: 0, refused: 0 }
      const property = fc.property(flushText(kind, keys), (text) => {
        const reading = readAll(kind, text)
        seen[typeof reading === 'string' ? 'refused' : 'accepted']++
        expect(readBySource(kind, text)).toEqual(reading)
      })
      fc.assert(property, parametersOf(runs))
      // The test proves little unless both halves were tried.
      expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThanOrEqual(Math.floor(runs / 10))
    },
    timeoutOf(runs),
  )

  test(
    `any JSON as a body of ${kind} is read or refused as by the naive reader, in ${runs} runs`,
    () => {
      const property = fc.property(fc.json({ stringUnit: 'binary' }), (json) => {
        for (const text of [json, `{"keys":${json}}`, `{"keys":[${json}]}`]) {
          expect(readBySource(kind, text)).toEqual(readAll(kind, text))
        }
      })
      fc.assert(property, parametersOf(runs))
    },
    timeoutOf(runs),
  )
}

test(`sums are exact, and numbers below 2^53, in ${runs} runs`, () => {
  const property = fc.property(fc.array(fc.oneof(count, fc.maxSafeNat())), (counts) => {
    let sum: Exact = 0
    let exact = 0n
    for (const next of counts) {
      sum = addExact(sum, next)
      exact += BigInt(next)
    }
    expect(BigInt(sum)).toBe(exact)
    expect(typeof sum).toBe(exact < 2n ** 53n ? 'number' : 'bigint')
    expect(toExact(exact.toString())).toBe(sum)
  })
  fc.assert(property, parametersOf(runs))
})

const position = fc.oneof(fc.constant(-1), fc.nat(100), fc.nat({ max: 999_999_999 }))

test(`positions are parsed as they were formatted, in ${runs} runs`, () => {
  const property = fc.property(fc.array(position, { minLength: 1, maxLength: 9 }), (positions) => {
    const text = formatPositions(positions)
    expect(parsePositions(text, positions.length)).toEqual(positions)
    expect(parsePositions(text, positions.length + 1)).toEqual([...positions, undefined])
    expect(parsePositions(text, positions.length - 1)).toBeNull()
    expect(parsePositions(`${text},0/1`, positions.length)).toBeNull()
  })
  fc.assert(property, parametersOf(runs))
})

test(`positions are formatted as they were parsed, in ${runs} runs`, () => {
  const part = fc.oneof(
    fc.tuple(fc.nat(4), position).map(([shard, at]) => `${shard}/${at}`),
    fc.stringMatching(/^[-+ 01e/.]{0,4}$/),
    fc.string({ maxLength: 4 }),
  )
  const texts = fc.array(part, { maxLength: 4 }).map((parts) => parts.join(','))
  const property = fc.property(texts, fc.integer({ min: 1, max: 5 }), (text, shards) => {
    const read = parsePositions(text, shards)
    if (read === null) return
    const named = read.flatMap((at, shard) => (at === undefined ? [] : [`${shard}/${at}`]))
    const plain = text.split(',').map((pair) => pair.replace(/(^|\/)0+(?=\d)/g, '$1'))
    expect(named).toEqual(plain.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)))
  })
  fc.assert(property, parametersOf(runs))
})

type Reading = { entries: Entry[]; countedAt: number | null } | 'shape' | 'numbers'

/** Reads the entries and the time of a body. */
function readAll(kind: Kind, text: string): Reading {
  const [entries, countedAt] = [readNaively(kind, text), readTimeNaively(text)]
  if (entries === 'shape' || countedAt === 'shape') return 'shape'
  if (entries === 'numbers') return 'numbers'
  // These bodies have no dimensions and measures.
  return { entries: entries.map(({ details: _, ...entry }) => entry), countedAt }
}

/** Reads a body with the parsers of src; returns it in the form of the naive reader. */
function readBySource(kind: Kind, text: string): Reading {
  const type = kind === 'keys' ? 'KeyStatsFlushed' : 'ApiKeyStatsFlushed'
  const posted = parseFlush(type, text, false)
  if ('error' in posted) {
    expect(posted.detail).toMatch(/^(The body |keys |counted_at )|^keys\[\d+\][. ]/)
    return posted.error === 'invalid request body' ? 'shape' : 'numbers'
  }
  return { entries: entriesOf(posted), countedAt: posted.countedAt ?? null }
}

function entriesOf({ type, entries }: PostedFlush): Entry[] {
  if (type === 'ApiKeyStatsFlushed') {
    const { ids, names, requests, successes } = entries
    return ids.map((key, i) => ({
      ...{ key, name: names?.[i] ?? null },
      numbers: [requests[i]!, successes[i]!].map(BigInt),
    }))
  }
  const { hashes, requests, tokens, last_accessed_at: last } = entries
  return hashes.map((key, i) => ({
    ...{ key, name: null },
    numbers: [requests[i]!, tokens[i]!, last[i]!].map(BigInt),
  }))
}
