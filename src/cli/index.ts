import { StartError } from '../start-error.ts'
import { audit } from './audit.ts'
import { demo } from './demo.ts'
import { exportLog } from './export.ts'
import { importLog } from './import.ts'
import { init } from './init.ts'
import { key } from './key.ts'
import { rebuild } from './rebuild.ts'
import { replay } from './replay.ts'
import { serve } from './serve.ts'
import { token } from './token.ts'
import { verify } from './verify.ts'

const COMMANDS: Record<string, { run: (args: string[]) => Promise<void>; help: string }> = {
  serve: { run: serve, help: 'serve         run the service (the default)' },
  init: {
    run: init,
    help: 'init          make the schema; --citus spreads it over several machines',
  },
  rebuild: { run: rebuild, help: 'rebuild       fold the projections anew, beside the live ones' },
  replay: { run: replay, help: 'replay        show how a number came to be, event by event' },
  key: { run: key, help: 'key           show or rotate the keys of the transparency log' },
  demo: { run: demo, help: 'demo          fill a running, fresh service with a gateway' },
  token: { run: token, help: 'token         make, list and revoke tokens of a running service' },
  export: { run: exportLog, help: 'export        write the log to an archive' },
  import: { run: importLog, help: 'import        fill an empty log with an archive' },
  audit: {
    run: audit,
    help: 'audit         verify a log as an outsider: its signatures, events and totals',
  },
  verify: { run: verify, help: 'verify        check the whole database, or an archive' },
}

/** Older ones can't start PostgreSQL as another user, which root has to. */
const OLDEST_BUN = '1.4.0'

/** Runs the command that the arguments name; a running service keeps the process alive. */
export async function runCommand(args: string[]): Promise<void> {
  if (Bun.semver.order(Bun.version, OLDEST_BUN) < 0) {
    throw new StartError(`Tallybook needs Bun ${OLDEST_BUN} or newer; this is ${Bun.version}.`)
  }
  const [name = 'serve', ...rest] = args
  if (['help', '--help', '-h'].includes(name)) {
    console.log(usage())
    return
  }
  const command = COMMANDS[name]
  if (!command) throw new StartError(`There is no command "${name}".\n${usage()}`)
  await command.run(rest)
}

function usage(): string {
  const lines = Object.values(COMMANDS).map(({ help }) => `  tallybook ${help}`)
  return `Commands:\n${lines.join('\n')}`
}
