import { readFileSync } from 'node:fs'

/** Interval (ms) at which the ancestor processes are checked. */
const POLL_MS = 300

/**
 * Resolves when the npx that launched this process has ended. npx forwards no signals: without
 * this, a SIGTERM to npx would leave the service running. Linux only: never resolves on other
 * systems, or if something other than npx launched this process.
 */
export function launcherEnded(): Promise<void> {
  const ancestors = findNpx()
  if (ancestors === null) return new Promise(() => {})
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      // The system gives a child whose parent has ended another parent.
      if (ancestors.every((pid, i) => i === 0 || parentOf(ancestors[i - 1]!) === pid)) return
      clearInterval(timer)
      resolve()
    }, POLL_MS)
    timer.unref()
  })
}

/**
 * Returns the process ids from this process up to npx, or null if npx is not an ancestor. npx runs
 * a shell, the shell runs `bun run`, and that runs this process.
 */
function findNpx(): number[] | null {
  const ancestors = [process.pid]
  for (let pid = parentOf(process.pid); pid !== null && pid > 1; pid = parentOf(pid)) {
    ancestors.push(pid)
    if (readProcess(pid, 'comm').startsWith('npm exec')) return ancestors
  }
  return null
}

/** Returns the id of a process's parent, or null if it is unknown. */
function parentOf(pid: number): number | null {
  // `4242 (a name) S 4241 …`: the name may contain any character, so read after the last `)`.
  const stat = readProcess(pid, 'stat')
  const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  return Number.isInteger(parent) ? parent : null
}

function readProcess(pid: number, file: 'stat' | 'comm'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
