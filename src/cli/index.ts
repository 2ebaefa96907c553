import { version } from '../../package.json'
import { UserError } from '../platform/user-error.ts'

type Command = {
  /** Loads the command when it is run: loading all takes 0.27 s of CPU, most of them 0.08 s. */
  load: () => Promise<{ run: (args: string[]) => Promise<void>; usage: string }>
  help: string
}

/** The commands, in the order in which help lists them. */
export const COMMANDS: Record<string, Command> = {
  serve: {
    load: () => import('./serve.ts').then(({ serve: run, USAGE: usage }) => ({ run, usage })),
    help: 'serve         run the service (the default)',
  },
  init: {
    load: () => import('./init.ts').then(({ init: run, USAGE: usage }) => ({ run, usage })),
    help: 'init          create the schema; --citus distributes it over several machines',
  },
  rebalance: {
    load: () =>
      import('./rebalance.ts').then(({ rebalance: run, USAGE: usage }) => ({ run, usage })),
    help: 'rebalance     spread the shards evenly over the workers of a Citus cluster',
  },
  rebuild: {
    load: () => import('./rebuild.ts').then(({ rebuild: run, USAGE: usage }) => ({ run, usage })),
    help: 'rebuild       recompute the projections, alongside the live ones',
  },
  replay: {
    load: () => import('./replay.ts').then(({ replay: run, USAGE: usage }) => ({ run, usage })),
    help: 'replay        show how a number came about, event by event',
  },
  key: {
    load: () => import('./key.ts').then(({ key: run, USAGE: usage }) => ({ run, usage })),
    help: 'key           show, rotate or retire the keys of the transparency log',
  },
  catalog: {
    load: () => import('./catalog.ts').then(({ catalog: run, USAGE: usage }) => ({ run, usage })),
    help: 'catalog       declare the dimensions and measures of an LLM gateway',
  },
  'move-in': {
    load: () => import('./move-in.ts').then(({ moveIn: run, USAGE: usage }) => ({ run, usage })),
    help: 'move-in       move the keys and totals of an older system to a running service',
  },
  compare: {
    load: () => import('./compare.ts').then(({ compare: run, USAGE: usage }) => ({ run, usage })),
    help: 'compare       compare an older system with the service, before a cut-over',
  },
  demo: {
    load: () => import('./demo.ts').then(({ demo: run, USAGE: usage }) => ({ run, usage })),
    help: 'demo          fill a new, running service with sample data',
  },
  collect: {
    load: () => import('./collect.ts').then(({ collect: run, USAGE: usage }) => ({ run, usage })),
    help: 'collect       accept the records of gateways, and post what they count',
  },
  token: {
    load: () => import('./token.ts').then(({ token: run, USAGE: usage }) => ({ run, usage })),
    help: 'token         create, list and revoke tokens of a running service',
  },
  webhook: {
    load: () => import('./webhook.ts').then(({ webhook: run, USAGE: usage }) => ({ run, usage })),
    help: 'webhook       manage where a running service sends events of rules',
  },
  health: {
    load: () => import('./health.ts').then(({ health: run, USAGE: usage }) => ({ run, usage })),
    help: 'health        check that a running service can take flushes',
  },
  export: {
    load: () => import('./export.ts').then(({ exportLog: run, USAGE: usage }) => ({ run, usage })),
    help: 'export        write the log to an archive',
  },
  import: {
    load: () => import('./import.ts').then(({ importLog: run, USAGE: usage }) => ({ run, usage })),
    help: 'import        load an archive into an empty log',
  },
  audit: {
    load: () => import('./audit.ts').then(({ audit: run, USAGE: usage }) => ({ run, usage })),
    help: 'audit         verify a log from the outside: its signatures, events and totals',
  },
  segments: {
    load: () => import('./segments.ts').then(({ segments: run, USAGE: usage }) => ({ run, usage })),
    help: 'segments      list the segments of the log, and move them to the archive and back',
  },
  verify: {
    load: () => import('./verify.ts').then(({ verify: run, USAGE: usage }) => ({ run, usage })),
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
  if (name === 'help' || isHelp(name)) {
    console.log(listCommands())
    return
  }
  if (name === '--version') {
    console.log(`tallybook ${version}`)
    return
  }
  const command = COMMANDS[name]
  if (!command) throw new UserError(`Unknown command "${name}".\n${listCommands()}`)
  const { run, usage } = await command.load()
  if (rest.some(isHelp)) console.log(usage)
  else await run(rest)
}

const isHelp = (arg: string) => arg === '--help' || arg === '-h'

function listCommands(): string {
  const lines = Object.values(COMMANDS).map(({ help }) => `  tallybook ${help}`)
  return `Commands:\n${lines.join('\n')}`
}
