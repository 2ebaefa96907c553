import { readFileSync } from 'node:fs'

/** Milliseconds between two looks. */
const POLL_MS = 300

/**
 * Resolves when npx, where it has launched this process, has ended. npx passes no signal on:
 * without this, a SIGTERM to npx would leave the service running. Linux only; never resolves
 * elsewhere, nor where something else has launched us.
 */
export function launcherEnded(): Promise<void> {
  const ancestors = findNpx()
  if (ancestors === null) return new Promise(() => {})
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      // A child whose parent ended gets another one.
      if (ancestors.every((pid, i) => i === 0 || parentOf(ancestors[i - 1]!) === pid)) return
      clearInterval(timer)
      resolve()
    }, POLL_MS)
    timer.unref()
  })
}

/** This process, its parent and so on up to npx: it runs a shell, that `bun run`, and that us. */
function findNpx(): number[] | null {
  const ancestors = [process.pid]
  for (let pid = parentOf(process.pid); pid !== null && pid > 1; pid = parentOf(pid)) {
    ancestors.push(pid)
    if (readProcess(pid, 'comm').startsWith('npm exec')) return ancestors
  }
  return null
}

/** null where it can't be known. */
function parentOf(pid: number): number | null {
  // `4242 (a name) S 4241 …`: the name may hold anything, so look behind its last parenthesis.
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
