import { UserError } from '../platform/user-error.ts'
import { launcherEnded } from './launcher.ts'

/** Exit code that shells use for a command ended by Ctrl-C. */
const EXIT_CODE = 130

/** Time (ms) in which one Ctrl-C may arrive twice: from the terminal and from a launcher. */
const ECHO_MS = 300

/** Thrown when a command was asked to stop and has cleaned up: exit code 130. */
export class Interrupted extends UserError {
  override name = 'Interrupted'

  constructor(message = 'Interrupted.') {
    super(message, { exitCode: EXIT_CODE })
  }
}

let interruption: AbortController | null = null

/**
 * Returns a signal that aborts, with Interrupted as its reason, at the first SIGINT, SIGTERM or
 * SIGHUP, or when npx (which forwards no signals) has ended: the command then cleans up and exits.
 * A second signal ends the process immediately, as if it were killed. Every call returns the same
 * signal. Call it before the work begins.
 */
export function untilInterrupted(): AbortSignal {
  if (interruption !== null) return interruption.signal
  const controller = new AbortController()
  interruption = controller
  let first: number | null = null
  const interrupt = () => {
    first ??= performance.now()
    if (performance.now() - first > ECHO_MS) process.exit(EXIT_CODE)
    controller.abort(new Interrupted())
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt)
  launcherEnded().then(() => controller.abort(new Interrupted()))
  return controller.signal
}
