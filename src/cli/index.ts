import { UserError } from '../platform/user-error.ts'

type Command = {
  /** Loads the command when it is run: loading all takes 0.27 s of CPU, most of them 0.08 s. */
  load: () => Promise<(args: string[]) => Promise<void>>
  help: string
}

/** The commands, in the order in which help lists them. */
export const COMMANDS: Record<string, Command> = {
  serve: {
    load: async () => (await import('./serve.ts')).serve,
    help: 'serve         run the service (the default)',
  },
  init: {
    load: async () => (await import('./init.ts')).init,
    help: 'init          create the schema; --citus distributes it over several machines',
  },
  rebalance: {
    load: async () => (await import('./rebalance.ts')).rebalance,
    help: 'rebalance     spread the shards evenly over the workers of a Citus cluster',
  },
  rebuild: {
    load: async () => (await import('./rebuild.ts')).rebuild,
    help: 'rebuild       recompute the projections, alongside the live ones',
  },
  replay: {
    load: async () => (await import('./replay.ts')).replay,
    help: 'replay        show how a number came about, event by event',
  },
  key: {
    load: async () => (await import('./key.ts')).key,
    help: 'key           show, rotate or retire the keys of the transparency log',
  },
  demo: {
    load: async () => (await import('./demo.ts')).demo,
    help: 'demo          fill a new, running service with sample data',
  },
  token: {
    load: async () => (await import('./token.ts')).token,
    help: 'token         create, list and revoke tokens of a running service',
  },
  export: {
    load: async () => (await import('./export.ts')).exportLog,
    help: 'export        write the log to an archive',
  },
  import: {
    load: async () => (await import('./import.ts')).importLog,
    help: 'import        load an archive into an empty log',
  },
  audit: {
    load: async () => (await import('./audit.ts')).audit,
    help: 'audit         verify a log from the outside: its signatures, events and totals',
  },
  verify: {
    load: async () => (await import('./verify.ts')).verify,
    help: 'verify        check the whole database, or an archive',
  },
}

/** Older releases can't start PostgreSQL as another user, which root must do. */
const MIN_BUN_VERSION = '1.4.0'

/** Runs the command named by the first argument; a running service keeps the process alive. */
export async function runCommand(args: string[]): Promise<void> {
  if (Bun.semver.order(Bun.version, MIN_BUN_VERSION) < 0) {
    throw new UserError(`Tallybook needs Bun ${MIN_BUN_VERSION} or newer; this is ${Bun.version}.`)
  }
  const [name = 'serve', ...rest] = args
  if (['help', '--help', '-h'].includes(name)) {
    console.log(usage())
    return
  }
  const command = COMMANDS[name]
  if (!command) throw new UserError(`Unknown command "${name}".\n${usage()}`)
  const run = await command.load()
  await run(rest)
}

function usage(): string {
  const lines = Object.values(COMMANDS).map(({ help }) => `  tallybook ${help}`)
  return `Commands:\n${lines.join('\n')}`
}
