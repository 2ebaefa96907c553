/** What stopping needs of a server, whether it is our child or an orphan of a killed service. */
export type Stoppable = {
  signal(name: NodeJS.Signals): void
  isGone(): Promise<boolean>
  /** How long a fast shutdown may take, in ms, before it is cut short. */
  fastMs: number
}

// After the immediate shutdown, in ms; it writes nothing, so only a stuck disk takes that long.
const IMMEDIATE_MS = 5_000
const POLL_INTERVAL_MS = 10

/**
 * Stops a server: fast (SIGINT: open transactions roll back, everything goes to disk); when that
 * hangs, at once (SIGQUIT), and at last by SIGKILL; the next start then recovers from the log.
 */
export async function stopProcess(server: Stoppable): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGINT', server.fastMs],
    ['SIGQUIT', IMMEDIATE_MS],
    ['SIGKILL', IMMEDIATE_MS],
  ]
  for (const [name, patienceMs] of steps) {
    if (await server.isGone()) return
    server.signal(name)
    const deadline = performance.now() + patienceMs
    while (performance.now() < deadline) {
      if (await server.isGone()) return
      await Bun.sleep(POLL_INTERVAL_MS)
    }
  }
}
