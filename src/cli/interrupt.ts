import { UserError } from '../platform/user-error.ts'
import { launcherEnded } from './launcher.ts'

/** What a shell gives for a command that Ctrl-C ended. */
const EXIT_CODE = 130

/** Milliseconds in which one Ctrl-C may arrive twice: from the terminal and from a launcher. */
const ECHO_MS = 300

/** A command was told to end and has cleaned up: exit code 130. */
export class Interrupted extends UserError {
  override name = 'Interrupted'

  constructor(message = 'Interrupted.') {
    super(message, { exitCode: EXIT_CODE })
  }
}

let interruption: AbortController | null = null

/**
 * Aborts, with Interrupted as its reason, at the first SIGINT or SIGTERM (or when npx, which passes
 * no signal on, has ended): the command cleans up and ends. At a second signal the process ends at
 * once, as if it were killed. Every call gives the same signal; call it before the work begins.
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
