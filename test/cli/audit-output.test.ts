import { expect, test } from 'bun:test'
import { listLimits, toPlain, toPlainLines } from '../../src/cli/audit-output.ts'
import { auditLog, fillLog, MemoryLog } from '../proofs/verifier/memory.ts'

test('text from a server has no effect on a terminal', () => {
  expect(toPlain('\x1b]0;title\x07\x1b[2J\r\nü "😀"')).toBe('�]0;title��[2J��ü "😀"')
  expect(toPlain('\u202eleft\u2028\u009b')).toBe('�left��')
  expect(toPlain('x'.repeat(10_000))).toHaveLength(2_001)
  expect(toPlainLines('a\x1b\nb')).toBe('a�\nb')
})

test('the limits state which usage was not compared', async () => {
  const log = fillLog(new MemoryLog())
  const limitsOf = async (rows: number, hours: number) => {
    const { report } = await auditLog(log, { usage: { rows, days: 500_000, hours } })
    return listLimits(report, log.source(), false)
  }
  const hours = 24 * 366 * 200
  expect(await limitsOf(1_000, hours)).toEqual([
    'Usage was compared by the hour (all together, provider groups, API keys, token keys): ' +
      'counts moved within one of these are found only if they are attested.',
  ])
  expect(await limitsOf(2, 0)).toEqual([
    'Usage was compared by the day (all together, provider groups, API keys, token keys): ' +
      'counts moved within one of these are found only if they are attested.',
    'Usage was compared for only 2 of 3 API keys, chosen at random: --all-usage compares all.',
  ])
  const { report } = await auditLog(log)
  const usage = { ...report.usage!, outside: 7 }
  expect(listLimits({ ...report, usage }, log.source(), false).at(-1)).toBe(
    '7 events count outside the days whose usage was compared.',
  )
  expect(listLimits({ ...report, missedActs: 2 }, log.source(), false).at(-1)).toBe(
    '2 reversals, adoptions and resets were not compared with the events before them: ' +
      'these could not be read, or were moved by an old release that did not state where.',
  )
  expect(listLimits({ ...report, usage: null }, log.source(), false)).toEqual([
    'No page was compared, as the log could not be read that far.',
  ])
})
