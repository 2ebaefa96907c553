import { expect, test } from 'bun:test'
import { toPlain, toPlainLines } from '../../src/cli/audit-output.ts'

test('what a server sent has no effect on a terminal', () => {
  expect(toPlain('\x1b]0;title\x07\x1b[2J\r\nü "😀"')).toBe('�]0;title��[2J��ü "😀"')
  expect(toPlain('\u202eleft\u2028\u009b')).toBe('�left��')
  expect(toPlain('x'.repeat(10_000))).toHaveLength(2_001)
  expect(toPlainLines('a\x1b\nb')).toBe('a�\nb')
})
