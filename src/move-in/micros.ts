import { UserError } from '../platform/user-error.ts'

/**
 * Converts a decimal number of dollars, as PostgreSQL writes a double (`0.1`, `1.5e-05`), to
 * millionths. Computes with the digits, so nothing is lost to binary fractions; half a millionth is
 * rounded away from zero. Throws UserError for what is not a number.
 */
export function toMicros(dollars: string): bigint {
  const parts = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d{1,3}))?$/i.exec(dollars)
  if (!parts) throw new UserError('An amount of dollars in the old database is not a number.')
  const [, sign, whole, fraction = '', exponent = '0'] = parts
  const digits = BigInt(`${whole}${fraction}`)
  const shift = 6 + Number(exponent) - fraction.length
  const micros = shift >= 0 ? digits * 10n ** BigInt(shift) : divideRounded(digits, -shift)
  return sign === '-' ? -micros : micros
}

function divideRounded(digits: bigint, places: number): bigint {
  const divisor = 10n ** BigInt(places)
  return (digits + divisor / 2n) / divisor
}
