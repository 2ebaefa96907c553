import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { toEventLine } from '../../../src/events/event-line.ts'
import { toLeaf } from '../../../src/events/leaf.ts'
import { parametersOf, runsOf, timeoutOf } from '../../property/runs.ts'
import { auditLog, fillLog } from './memory.ts'

const runs = runsOf(300)

/** Flips one bit of a text's UTF-8, and decodes invalid UTF-8 as a server's answer is decoded. */
function flip(text: string, where: number, bit: number): string {
  const bytes = Buffer.from(text)
  bytes[where % bytes.length]! ^= 1 << bit
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
}

test(
  `a flipped bit in any answer of a server is reported, ${runs} times`,
  async () => {
    const what = fc.constantFrom('line', 'announced', 'entry', 'hash', 'head')
    const property = fc.asyncProperty(
      what,
      fc.nat(),
      fc.nat(),
      fc.nat(7),
      async (part, which, where, bit) => {
        const log = fillLog()
        const lines = log.events[0]!.map((event) => toEventLine(event))
        const at = which % lines.length
        if (part === 'line') log.tampered.lines = lines.with(at, flip(lines[at]!, where, bit))
        if (part === 'announced') {
          // Only attestations are announced; there are two.
          const announced = [3, 5][which % 2]!
          log.tampered.announced = lines.with(announced, flip(lines[announced]!, where, bit))
        }
        if (part === 'entry') {
          const leaf = toLeaf(log.events[0]![at]!)
          log.tampered.entries = log.events[0]!.map(toLeaf).with(at, flip(leaf, where, bit))
        }
        if (part === 'hash') {
          const hash = Uint8Array.from(log.leaves()[at]!)
          hash[where % 32]! ^= 1 << bit
          log.tampered.leaves = log.leaves().with(at, hash)
        }
        const note = log.head()
        if (part === 'head') log.tampered.head = () => flip(note, where, bit)
        expect((await auditLog(log)).found).not.toEqual([])
      },
    )
    await fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs),
)

test('every number on a page is compared', async () => {
  for (const path of ['summary', 'provider-groups', 'api-keys', 'keys'] as const) {
    const { [path]: rows } = fillLog().pages()
    const [row] = Array.isArray(rows) ? rows : [rows]
    for (const [field, value] of Object.entries(row!)) {
      if (typeof value !== 'number') continue
      const log = fillLog()
      log.tampered.page = (one, page) => ({
        ...page,
        rows: (page.rows as object[]).map((shown, i) =>
          one === path && i === 0 ? { ...shown, [field]: value + 1 } : shown,
        ),
      })
      expect([path, field, (await auditLog(log)).found]).not.toEqual([path, field, []])
    }
  }
})
