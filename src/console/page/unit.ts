import type { Exact } from '../../events/exact.ts'
import { formatCount, formatShort } from './format.ts'

/** How numbers of a measure are written. */
export type Unit = {
  /** Writes a number with all of its digits and its unit: `$12.345678`. */
  format: (value: Exact) => string
  /** Writes it in a narrow place, rounded: `$12.3`. */
  formatShort: (value: number) => string
}

/** Plain numbers. */
export const COUNT: Unit = { format: formatCount, formatShort }

const read = new Map<string, Unit>()

/**
 * Reads the unit of a measure as the catalog declares it: a name, such as `ms`, or the code of a
 * currency, such as `USD`. `USD/1e6` and `USD/1000000` mean that the measure counts millionths.
 */
export function readUnit(text: string | null): Unit {
  if (text === null) return COUNT
  const unit = read.get(text) ?? toUnit(text)
  read.set(text, unit)
  return unit
}

function toUnit(text: string): Unit {
  const [, name = text, power, zeros] = /^(.+?)\s*\/\s*1(?:e(\d|1\d)|(0{1,19}))$/.exec(text) ?? []
  const digits = zeros?.length ?? Number(power ?? 0)
  const isCurrency = Intl.supportedValuesOf('currency').includes(name)
  const style = isCurrency ? ({ style: 'currency', currency: name } as const) : {}
  const suffix = isCurrency ? '' : ` ${name}`
  const exact = new Intl.NumberFormat(undefined, {
    ...style,
    // As many for all numbers, so that they align in a table.
    ...{ minimumFractionDigits: digits, maximumFractionDigits: digits },
  })
  const short = new Intl.NumberFormat(undefined, {
    ...{ ...style, notation: 'compact', maximumSignificantDigits: 3 },
  })
  return {
    format: (value) => `${exact.format(shift(value, digits) as `${number}`)}${suffix}`,
    formatShort: (value) => `${short.format(value / 10 ** digits)}${suffix}`,
  }
}

/** Divides by a power of ten without rounding: 1,234 by 10^3 is `1.234`. */
function shift(value: Exact, digits: number): string {
  if (digits === 0) return String(value)
  const sign = value < 0 ? '-' : ''
  const text = String(value)
    .replace('-', '')
    .padStart(digits + 1, '0')
  return `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`
}
