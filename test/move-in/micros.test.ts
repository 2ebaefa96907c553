import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { toMicros } from '../../src/move-in/micros.ts'

test('dollars are converted by their decimal digits', () => {
  for (const [dollars, micros] of [
    ...[['0', 0n] as const, ['0.1', 100_000n] as const, ['-0.1', -100_000n] as const],
    ...[['1e-05', 10n] as const, ['1.5e-06', 2n] as const, ['4.9e-07', 0n] as const],
    ...[['5e-07', 1n] as const, ['-5e-07', -1n] as const, ['1e+20', 10n ** 26n] as const],
    ['0.30000000000000004', 300_000n] as const,
    ['123456789.123456', 123_456_789_123_456n] as const,
  ]) {
    expect(toMicros(dollars)).toBe(micros)
  }
})

test('whole millionths stay as they are, whatever doubles do with them', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 ** 13 }), (micros) => {
      const whole = Math.floor(micros / 1e6)
      const dollars = `${whole}.${String(micros - whole * 1e6).padStart(6, '0')}`
      expect(toMicros(dollars)).toBe(BigInt(micros))
    }),
  )
})

test('what is not a number is refused', () => {
  for (const text of ['', 'NaN', 'Infinity', '1.', '0x1']) {
    expect(() => toMicros(text)).toThrow()
  }
})
