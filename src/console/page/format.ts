import type { Exact } from '../../events/exact.ts'
import { zone } from './settings.ts'

// Texts for the reader's locale. Intl objects are made once: making one takes 50 µs.

const whole = new Intl.NumberFormat()
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 })
const much = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 0 })
const part = new Intl.NumberFormat(undefined, { style: 'percent', minimumFractionDigits: 2 })
const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte', 'petabyte']

/** `1,234,567`: all digits, whatever the number. */
export const formatCount = (count: Exact) => whole.format(count)

/** `1 event`, `1,234 events`. */
export const formatCountOf = (count: Exact, one: string, many = `${one}s`) =>
  `${formatCount(count)} ${count === 1 || count === 1n ? one : many}`

/** `1.2M`: for axes and where there is no room. */
export const formatShort = (count: number) => short.format(count)

/** `99.90%`. Only what is all or nothing reads as 100% or 0%. */
export function formatRate(rate: number): string {
  if (rate === 0 || rate === 1) return much.format(rate)
  if (rate > 0 && rate < 0.0001) return `<${part.format(0.0001)}`
  if (rate < 1 && rate > 0.9999) return `>${part.format(0.9999)}`
  return part.format(rate)
}

/** `90%`, `4,483%`: how much of a quota. Only what is all or nothing reads as 100% or 0%. */
export function formatShare(share: number): string {
  if (share > 0 && share < 0.01) return `<${much.format(0.01)}`
  if (share < 1 && share > 0.99) return `>${much.format(0.99)}`
  return much.format(share > 1 ? Math.max(share, 1.01) : share)
}

/** `1.5 GB` */
export function formatBytes(bytes: number): string {
  // What would be written as 1,000 of a unit is 1 of the next.
  let power = 0
  while (power < units.length - 1 && bytes / 1_000 ** power >= 999.95) power++
  return new Intl.NumberFormat(undefined, {
    ...{ style: 'unit', unit: units[power]!, unitDisplay: 'short', maximumFractionDigits: 1 },
  }).format(bytes / 1_000 ** power)
}

/** `350 ms`, `12 s`, `3 min`, `5 h`, `2 d` */
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
const made = new Map<string, Intl.DateTimeFormat>()

/** A moment in the zone that the reader chose; a text that names none as it is. */
export function formatTime(at: string | number, style: keyof typeof times = 'second'): string {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return String(at)
  const key = `${style} ${zone.value}`
  let format = made.get(key)
  if (format === undefined) {
    const timeZone = zone.value === 'utc' ? 'UTC' : undefined
    format = new Intl.DateTimeFormat(undefined, { ...times[style], timeZone })
    made.set(key, format)
  }
  return format.format(date)
}

/** IANA name of the zone that the reader chose. */
export const zoneName = () =>
  zone.value === 'utc' ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone

/** What a row is called: its name, else its id. */
export const nameOf = ({ name, id }: { name: string | null; id: number | string }) =>
  name ?? `#${id}`
