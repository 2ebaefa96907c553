import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseFlush } from '../../src/http/flushes/model.ts'
import { PlainEntriesReader } from '../../src/http/flushes/plain-entries.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'

const runs = runsOf(2_000)

/** The text before each of the three numbers of an entry, and behind them, by how it is written. */
const STYLES = {
  compact: ['{"api_key_id":', ',"requests":', ',"success_requests":', '}'],
  spaced: ['{"api_key_id": ', ', "requests": ', ', "success_requests": ', '}'],
  otherOrder: ['{"requests":', ',"success_requests":', ',"api_key_id":', '}'],
} as const

type Style = keyof typeof STYLES

const open = (style: Style) => (style === 'spaced' ? '{"keys": [' : '{"keys":[')
const comma = (style: Style) => (style === 'spaced' ? ', ' : ',')

/** Writes a body of entries with an id, requests and failures, in this style. */
function write(style: Style, entries: readonly (readonly [number, number, number])[]): string {
  const [first, second, third, end] = STYLES[style]
  const texts = entries.map(([id, requests, failures]) => {
    const successes = requests - failures
    const [a, b, c] = style === 'otherOrder' ? [requests, successes, id] : [id, requests, successes]
    return `${first}${a}${second}${b}${third}${c}${end}`
  })
  return `${open(style)}${texts.join(comma(style))}]}`
}

/** The columns as JSON.parse reads them: no layout ends in so many spaces. */
function parseSlowly(body: string) {
  const posted = parseFlush('ApiKeyStatsFlushed', body + ' '.repeat(32), false)
  return 'error' in posted ? posted : posted.entries
}

const style = fc.constantFrom(...(Object.keys(STYLES) as Style[]))
const entry = fc
  .tuple(fc.integer({ min: 1, max: 2 ** 40 }), fc.nat(1_000), fc.nat(1_000))
  .map(([id, a, b]) => [id, Math.max(a, b), Math.min(a, b)] as const)
const entries = fc.array(entry, { minLength: 6, maxLength: 30 })

/** Text that is put over a part of a body, to break it or to change what it says. */
const patch = fc.oneof(
  fc.constantFrom('0', '00', '-', '.', 'e5', '1e3', '"', '}', ']}', ',', ' ', '\n', '\0', 'é', 'İ'),
  fc.constantFrom(
    'null',
    '{}',
    '"api_key":"a",',
    ',"api_key_id":9',
    '99999999999999999',
    '\\u0031',
  ),
  fc.string({ maxLength: 4, unit: 'binary' }),
)
const change = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(6), patch)

function apply(body: string, [where, deleted, text]: [number, number, string]): string {
  const at = Math.floor(where * body.length)
  return body.slice(0, at) + text + body.slice(at + deleted)
}

test(
  `plain bodies, whole or damaged, mean what JSON.parse reads, in ${runs} runs`,
  () => {
    const reader = new PlainEntriesReader()
    const seen = { read: 0, refused: 0 }
    const property = fc.property(style, entries, fc.option(change), (chosen, listed, damage) => {
      const whole = write(chosen, listed)
      const body = damage === null ? whole : apply(whole, damage)
      const read = reader.read(body)
      seen[read === null ? 'refused' : 'read']++
      if (damage === null && whole.length > 300) expect(read).not.toBeNull()
      if (read !== null) expect(read).toEqual(parseSlowly(body) as never)
    })
    fc.assert(property, parametersOf(runs))
    expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(runs / 10)
  },
  timeoutOf(runs),
)

test('a body that ends early is not completed by the one before it', () => {
  const reader = new PlainEntriesReader()
  const body = write(
    'compact',
    Array.from({ length: 20 }, (_, i) => [i + 1, 5, 0] as const),
  )
  expect(reader.read(body)).not.toBeNull()
  for (let length = 256; length < body.length; length++) {
    expect(reader.read(body.slice(0, length))).toBeNull()
  }
})

test('what a long body of digits leaves behind is read as nothing', () => {
  const reader = new PlainEntriesReader()
  const body = write(
    'compact',
    Array.from({ length: 20 }, (_, i) => [i + 1, 5, 0] as const),
  )
  expect(reader.read(body)).not.toBeNull()
  for (const filler of ['1', 'é1', '\u20ac', '\ud83d\ude00']) {
    const long = `{"keys":[{"api_key_id":${filler.repeat(2 ** 17)}`
    expect(reader.read(long.slice(0, 2 ** 17))).toBeNull()
    expect(reader.read(body.slice(0, -5))).toBeNull()
    expect(reader.read(body)?.ids).toHaveLength(20)
  }
})

test('a layout is one of bodies only: names that JSON would read otherwise are not taken', () => {
  const body = write(
    'compact',
    Array.from({ length: 20 }, (_, i) => [i + 1, 5, 0] as const),
  )
  const others = [
    body.replaceAll('"requests"', '"Requests"'),
    body.replaceAll('"success_requests"', '"requests"'),
    body.replaceAll('"keys"', '"keys":[],"keyz"'),
    body.replaceAll(']}', ']}}'),
    body.replaceAll(']}', ']'),
    `[${body}]`,
  ]
  for (const other of others) expect(new PlainEntriesReader().read(other)).toBeNull()
})

test('four layouts are remembered, whatever else is posted between them', () => {
  const reader = new PlainEntriesReader()
  const entries = Array.from({ length: 20 }, (_, i) => [i + 1, 5, 1] as const)
  for (let round = 0; round < 3; round++) {
    for (const chosen of Object.keys(STYLES) as Style[]) {
      expect(reader.read(write(chosen, entries))?.ids).toEqual(entries.map(([id]) => id))
      expect(reader.read('x'.repeat(1_000))).toBeNull()
      expect(reader.read(write(chosen, [...entries, [0, 0, 0]]))).toBeNull()
    }
  }
})
