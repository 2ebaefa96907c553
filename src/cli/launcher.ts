import { readFileSync } from 'node:fs'

/** Milliseconds between two looks. */
const POLL_MS = 300

/**
 * Resolves when npx, where it has launched this process, has ended. npx passes no signal on: without
 * this, a SIGTERM to npx would leave the service running. npx runs a shell, that runs `bun run`, and
 * that runs us: it is the parent of `bun run` that changes. Linux only; never resolves elsewhere.
 */
export function launcherEnded(env: Record<string, string | undefined>): Promise<void> {
  const launcher = parentOf(process.ppid)
  if (!env.npm_execpath?.includes('npm-cli') || launcher === null) return new Promise(() => {})
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (parentOf(process.ppid) === launcher) return
      clearInterval(timer)
      resolve()
    }, POLL_MS)
    timer.unref()
  })
}

/** null where it can't be known. */
function parentOf(pid: number): number | null {
  try {
    // `4242 (a name) S 4241 …`: the name may hold anything, so look behind its last parenthesis.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return null
  }
}
