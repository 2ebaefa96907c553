import { readdir, readFile } from 'node:fs/promises'

/** What Linux says of a process in /proc/<pid>/stat; times in seconds of a processor. */
export type Process = {
  pid: number
  parent: number
  seconds: number
  /** Of its children that have ended and were waited for. */
  endedSeconds: number
}

/** Ticks a second in /proc: the same on every Linux that programs see. */
const TICKS = 100

/**
 * Reads a line such as `41 (postgres: a) b) S 7 41 … 120 30 5 6 …`: the name may hold anything, so
 * the fields are counted from its last parenthesis.
 */
export function parseStat(text: string): Process {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = (...at: number[]) => at.reduce((sum, i) => sum + Number(fields[i]), 0)
  return {
    pid: Number.parseInt(text, 10),
    parent: Number(fields[1]),
    seconds: ticks(11, 12) / TICKS,
    endedSeconds: ticks(13, 14) / TICKS,
  }
}

/** A process; null where it has ended. */
export async function readProcess(pid: number): Promise<Process | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  return text === null ? null : parseStat(text)
}

/** The processes that a process has started and that run. */
export async function readChildren(parent: number): Promise<Process[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const all = await Promise.all(names.map((name) => readProcess(Number(name))))
  return all.filter((one) => one !== null).filter((one) => one.parent === parent)
}

/** Seconds of a process's first thread, which in Bun is the one that runs the program. */
export async function readThreadSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/schedstat`, 'utf8').catch(() => '0')
  return Number.parseInt(text, 10) / 1e9
}

/** Memory that a process holds. */
export async function readResidentMb(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? Number.NaN) / 1_024
}
