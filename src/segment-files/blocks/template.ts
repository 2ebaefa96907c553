import { pack } from '../../events/packed.ts'

// A payload taken apart: what is the same in many payloads, and the numbers and texts in it.

/** The marks that stand for what was taken out of a payload. No JSON contains these characters. */
export const MARKS = { list: '\x01', packed: '\x02', texts: '\x03', number: '\x04' } as const

/** The kind of what was taken out. */
export type SlotKind = keyof typeof MARKS

/** A place in a template: what belongs there, and the member of the payload in which it is. */
export type Slot = { kind: SlotKind; name: string }

/**
 * What was taken out of a payload, in its order: the numbers of `[1,20]`; the bits, and the
 * numbers, of `3,"dhA="` (see events/packed.ts); the texts of `["a","b"]`; a number elsewhere.
 */
export type Part =
  | { kind: 'list'; numbers: readonly number[] }
  | { kind: 'packed'; bits: number; numbers: readonly number[] }
  | { kind: 'texts'; texts: readonly string[] }
  | { kind: 'number'; number: number }

/**
 * What may be a part. No group repeats: with 200,000 entries, such an expression matches nothing,
 * because it exceeds a limit of the engine.
 */
const PARTS = new RegExp(
  [
    '\\[(\\d[\\d,]*)\\]',
    '(?<![\\w.])([1-9]|[1-4]\\d|5[0-3]),"([A-Za-z0-9+/]+={0,2})"',
    '\\["([^\\\\[\\]\\x00-\\x1f]*)"\\]',
    '(?<![\\w.])(0|[1-9]\\d{0,14})(?![\\w.])',
  ].join('|'),
  'g',
)

/**
 * Takes a payload apart. `{"ids":[1,20],"n":7}` is `{"ids":\x01,"n":\x04}`, the numbers 1 and 20,
 * and 7. With `formatPart` of each part in place of its mark the template is the payload again,
 * whatever text that is. Returns null if it contains marks.
 */
export function splitPayload(payload: string): { template: string; parts: Part[] } | null {
  if (HAS_MARKS.test(payload)) return null
  const parts: Part[] = []
  const template = payload.replace(PARTS, (text, list, bits, base64, texts, number) => {
    const part = readPart({ list, bits, base64, texts, number })
    if (part === null) return text
    parts.push(part)
    return MARKS[part.kind]
  })
  return { template, parts }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the marks.
const HAS_MARKS = /[\x01-\x04]/

type Match = Record<'list' | 'bits' | 'base64' | 'texts' | 'number', string | undefined>

function readPart({ list, bits, base64, texts, number }: Match): Part | null {
  if (list !== undefined) return readList(list)
  if (texts !== undefined) return readTexts(texts)
  if (number !== undefined) return { kind: 'number', number: Number(number) }
  return readPacked(Number(bits), base64!)
}

/** Returns null if one is no number in digits, or not exact. */
function readList(list: string): Part | null {
  const numbers = list.split(',').map(Number)
  const isExact = numbers.every(Number.isSafeInteger) && numbers.join(',') === list
  return isExact ? { kind: 'list', numbers } : null
}

/** Returns null if there is something else between two quotes than a comma. */
function readTexts(list: string): Part | null {
  const texts = list.split('","')
  return texts.some((text) => text.includes('"')) ? null : { kind: 'texts', texts }
}

/** Returns null if the numbers in it would not make the same text. */
function readPacked(bits: number, base64: string): Part | null {
  const bytes = Buffer.from(base64, 'base64')
  const numbers = unpackAll(bytes, bits)
  return formatPacked(bits, numbers) === base64 ? { kind: 'packed', bits, numbers } : null
}

/** Reads as many numbers as fit: the bits that fill the last byte may be some more zeros. */
function unpackAll(bytes: Buffer, bits: number): number[] {
  const numbers = new Array<number>(Math.floor((bytes.length * 8) / bits))
  let at = 0
  let left = 0
  let leftBits = 0
  for (let i = 0; i < numbers.length; i++) {
    let number = 0
    for (let rest = bits; rest > 0; ) {
      if (leftBits === 0) {
        left = bytes[at++]!
        leftBits = 8
      }
      const step = Math.min(rest, leftBits)
      leftBits -= step
      number = number * 2 ** step + (left >>> leftBits)
      left &= (1 << leftBits) - 1
      rest -= step
    }
    numbers[i] = number
  }
  return numbers
}

const formatPacked = (bits: number, numbers: readonly number[]) => pack(numbers, bits)[1]

/** Returns the slots of a template, in its order. */
export function slotsOf(template: string): Slot[] {
  const slots: Slot[] = []
  let name = ''
  for (const [text, member] of template.matchAll(NAMES_AND_MARKS)) {
    if (member !== undefined) name = member
    else slots.push({ kind: KINDS.get(text)!, name })
  }
  return slots
}

const KINDS = new Map<string, SlotKind>(
  Object.entries(MARKS).map(([kind, mark]) => [mark, kind as SlotKind]),
)
/** Names are ASCII, so that every language counts their characters alike. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the marks.
const NAMES_AND_MARKS = /"([ !#-[\]-~]{1,64})":|[\x01-\x04]/g

/** Returns the text between the slots of a template: one piece more than there are slots. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the marks.
export const piecesOf = (template: string): string[] => template.split(/[\x01-\x04]/)

/** Returns the text of a part, as it was in the payload. */
export function formatPart(part: Part): string {
  switch (part.kind) {
    case 'list':
      return `[${part.numbers.join(',')}]`
    case 'packed':
      return `${part.bits},"${formatPacked(part.bits, part.numbers)}"`
    case 'texts':
      return `["${part.texts.join('","')}"]`
    case 'number':
      return String(part.number)
    default:
      return part satisfies never
  }
}
