import { readdirSync, readFileSync } from 'node:fs'

/** Processor time in seconds. */
export type ProcessorTime = { user: number; system: number }

/** Ticks in a second of /proc: USER_HZ, which is 100 on all of Linux. */
const TICKS = 100

/**
 * Reads the processor time that a process has taken so far, with its children: those that run, and
 * those that have ended. Returns null where there is no /proc.
 */
export function readProcessorTime(pid: number): ProcessorTime | null {
  const own = readStat(pid)
  if (own === null) return null
  const total = { user: own.user + own.endedUser, system: own.system + own.endedSystem }
  for (const name of readdirSync('/proc')) {
    const child = /^\d+$/.test(name) ? readStat(Number(name)) : null
    if (child?.parent !== pid) continue
    total.user += child.user + child.endedUser
    total.system += child.system + child.endedSystem
  }
  return { user: total.user / TICKS, system: total.system / TICKS }
}

/** Returns the processor time in microseconds between two readings, for each of `count`. */
export function perFlush(
  before: ProcessorTime | null,
  after: ProcessorTime | null,
  count: number,
): ProcessorTime | null {
  if (before === null || after === null || count < 1) return null
  const each = (from: number, to: number) => ((to - from) * 1e6) / count
  return { user: each(before.user, after.user), system: each(before.system, after.system) }
}

/** Reads a process's parent and its times in ticks; null if there is no such process. */
function readStat(pid: number) {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return null
  }
  // The name, in parentheses, may contain spaces. The state comes after it.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  return {
    parent: fields[1]!,
    ...{ user: fields[11]!, system: fields[12]! },
    ...{ endedUser: fields[13]!, endedSystem: fields[14]! },
  }
}
