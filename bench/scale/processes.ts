import { readdir, readFile } from 'node:fs/promises'

/** Fields of /proc/<pid>/stat on Linux; processor times in seconds. */
export type Process = {
  pid: number
  parent: number
  seconds: number
  /** Time of ended children that were waited for. */
  endedSeconds: number
}

/** Ticks per second in /proc (USER_HZ), the same on all common Linux platforms. */
const TICKS = 100

/**
 * Parses a line such as `41 (postgres: a) b) S 7 41 … 120 30 5 6 …`. The name may contain anything,
 * so fields are counted from the last parenthesis.
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

/** Reads a process, or returns null if it has ended. */
export async function readProcess(pid: number): Promise<Process | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  return text === null ? null : parseStat(text)
}

/** Reads the running children of a process. */
export async function readChildren(parent: number): Promise<Process[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const all = await Promise.all(names.map((name) => readProcess(Number(name))))
  return all.filter((one) => one !== null).filter((one) => one.parent === parent)
}

/** Reads the processor time (s) of a process's first thread, which in Bun runs the program. */
export async function readThreadSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/schedstat`, 'utf8').catch(() => '0')
  return Number.parseInt(text, 10) / 1e9
}

/** Reads the resident memory (MB) of a process. */
export async function readResidentMb(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? Number.NaN) / 1_024
}
