import { UserError } from '../platform/user-error.ts'

type Command = {
  /** The command, loaded only when it is run: all of them take 0.27 s of CPU, most of them 0.08. */
  load: () => Promise<(args: string[]) => Promise<void>>
  help: string
}

const COMMANDS: Record<string, Command> = {
  serve: {
    load: async () => (await import('./serve.ts')).serve,
    help: 'serve         run the service (the default)',
  },
  init: {
    load: async () => (await import('./init.ts')).init,
    help: 'init          make the schema; --citus spreads it over several machines',
  },
  rebalance: {
    load: async () => (await import('./rebalance.ts')).rebalance,
    help: 'rebalance     give every worker of a Citus cluster as many shards as any other',
  },
  rebuild: {
    load: async () => (await import('./rebuild.ts')).rebuild,
    help: 'rebuild       fold the projections anew, beside the live ones',
  },
  replay: {
    load: async () => (await import('./replay.ts')).replay,
    help: 'replay        show how a number came to be, event by event',
  },
  key: {
    load: async () => (await import('./key.ts')).key,
    help: 'key           show or rotate the keys of the transparency log',
  },
  demo: {
    load: async () => (await import('./demo.ts')).demo,
    help: 'demo          fill a running, fresh service with a gateway',
  },
  token: {
    load: async () => (await import('./token.ts')).token,
    help: 'token         make, list and revoke tokens of a running service',
  },
  export: {
    load: async () => (await import('./export.ts')).exportLog,
    help: 'export        write the log to an archive',
  },
  import: {
    load: async () => (await import('./import.ts')).importLog,
    help: 'import        fill an empty log with an archive',
  },
  audit: {
    load: async () => (await import('./audit.ts')).audit,
    help: 'audit         verify a log as an outsider: its signatures, events and totals',
  },
  verify: {
    load: async () => (await import('./verify.ts')).verify,
    help: 'verify        check the whole database, or an archive',
  },
}

/** Older ones can't start PostgreSQL as another user, which root has to. */
const OLDEST_BUN = '1.4.0'

/** Runs the command that the arguments name; a running service keeps the process alive. */
export async function runCommand(args: string[]): Promise<void> {
  if (Bun.semver.order(Bun.version, OLDEST_BUN) < 0) {
    throw new UserError(`Tallybook needs Bun ${OLDEST_BUN} or newer; this is ${Bun.version}.`)
  }
  const [name = 'serve', ...rest] = args
  if (['help', '--help', '-h'].includes(name)) {
    console.log(usage())
    return
  }
  const command = COMMANDS[name]
  if (!command) throw new UserError(`There is no command "${name}".\n${usage()}`)
  const run = await command.load()
  await run(rest)
}

function usage(): string {
  const lines = Object.values(COMMANDS).map(({ help }) => `  tallybook ${help}`)
  return `Commands:\n${lines.join('\n')}`
}
