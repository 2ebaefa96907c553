import type { Exact } from '../../events/exact.ts'
import { zone } from './settings.ts'

// Text in the user's locale. Intl objects are reused: creating one takes 50 µs.

const whole = new Intl.NumberFormat()
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 })
const percent = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 0 })
const precisePercent = new Intl.NumberFormat(undefined, {
  style: 'percent',
  minimumFractionDigits: 2,
})
const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte', 'petabyte']

/** Formats `1,234,567`, with all digits of any number. */
export const formatCount = (count: Exact) => whole.format(count)

/** Formats `1 event`, `1,234 events`. */
export const formatCountOf = (count: Exact, one: string, many = `${one}s`) =>
  `${formatCount(count)} ${count === 1 || count === 1n ? one : many}`

/** Formats `1.2M`, for axes and narrow places. */
export const formatShort = (count: number) => short.format(count)

/** Formats `99.90%`. Only exactly all or nothing is shown as 100% or 0%. */
export function formatRate(rate: number): string {
  if (rate === 0 || rate === 1) return percent.format(rate)
  if (rate > 0 && rate < 0.0001) return `<${precisePercent.format(0.0001)}`
  if (rate < 1 && rate > 0.9999) return `>${precisePercent.format(0.9999)}`
  return precisePercent.format(rate)
}

/** Formats a share of a quota: `90%`, `4,483%`. Only exactly all or nothing is 100% or 0%. */
export function formatShare(share: number): string {
  if (share > 0 && share < 0.01) return `<${percent.format(0.01)}`
  if (share < 1 && share > 0.99) return `>${percent.format(0.99)}`
  return percent.format(share > 1 ? Math.max(share, 1.01) : share)
}

/** Formats `1.5 GB`. */
export function formatBytes(bytes: number): string {
  // A number that would round to 1,000 of a unit is written as 1 of the next.
  let power = 0
  while (power < units.length - 1 && bytes / 1_000 ** power >= 999.95) power++
  return new Intl.NumberFormat(undefined, {
    ...{ style: 'unit', unit: units[power]!, unitDisplay: 'short', maximumFractionDigits: 1 },
  }).format(bytes / 1_000 ** power)
}

/** Formats `350 ms`, `12 s`, `3 min`, `5 h`, `2 d`. */
export function formatDuration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

const times = {
  second: { dateStyle: 'medium', timeStyle: 'medium' },
  minute: { dateStyle: 'medium', timeStyle: 'short' },
  day: { dateStyle: 'medium' },
  short: { month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit' },
  moment: {
    ...{ month: 'short', day: 'numeric' },
    ...{ hour: 'numeric', minute: '2-digit', second: '2-digit' },
  },
  clock: { timeStyle: 'short' },
  seconds: { timeStyle: 'medium' },
  month: { month: 'short', day: 'numeric' },
} as const satisfies Record<string, Intl.DateTimeFormatOptions>
const formats = new Map<string, Intl.DateTimeFormat>()

/** Formats a time in the zone that the user chose; returns text that is not a time unchanged. */
export function formatTime(at: string | number, style: keyof typeof times = 'second'): string {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return String(at)
  const key = `${style} ${zone.value}`
  let format = formats.get(key)
  if (format === undefined) {
    const timeZone = zone.value === 'utc' ? 'UTC' : undefined
    format = new Intl.DateTimeFormat(undefined, { ...times[style], timeZone })
    formats.set(key, format)
  }
  return format.format(date)
}

/** Returns the IANA name of the zone that the user chose. */
export const zoneName = () =>
  zone.value === 'utc' ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone

/** Returns the name of a row, or its external id, or its id if it has neither. */
export const nameOf = (row: { name: string | null; external_id: string | null; id: number }) =>
  row.name ?? row.external_id ?? `#${row.id}`
