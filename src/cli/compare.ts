import { parseArgs } from 'node:util'
import { toJson } from '../http/json.ts'
import { compareBooks, readMove } from '../move-in/compare/compare.ts'
import { readFlushes } from '../move-in/compare/flushes.ts'
import { FIELDS, type Field } from '../move-in/compare/readings.ts'
import { Service } from '../move-in/service.ts'
import { readOldBooks, SYSTEMS } from '../move-in/systems/index.ts'
import { UserError } from '../platform/user-error.ts'
import { connectToService } from './client.ts'
import { type Explained, formatComparison, toComparisonJson } from './compare-output.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = `Usage: tallybook compare <database of the old system> [options]
Compares what an older system and the service have counted, for each account that move-in moved.
A gate for a cut-over: it ends with 0 if all amounts are equal, 1 if some are not, and 2 if it
could not compare. docs/guides/moving-in.md has an example.
  --tolerance <n>  amounts that differ by at most n are equal (0)
  --fields         amounts to compare, separated by commas: ${FIELDS.join(', ')}
  --system         the old system, if several were moved: ${Object.keys(SYSTEMS).join(', ')}
  --attempts <n>   how often amounts that differ are read again, two seconds apart (5)
  --to             the URL of the service. Default: the one at TALLYBOOK_HOST and TALLYBOOK_PORT
  --json           print JSON`

const EXIT = { equal: 0, different: 1, failed: 2 }
const PAUSE_MS = 2_000
/** Accounts whose flushes are read. */
const MAX_EXPLAINED = 20

/** Compares an older system with the service. */
export async function compare(args: string[]): Promise<void> {
  try {
    process.exitCode = await run(readOptions(args))
  } catch (error) {
    // Exit code 1 means differences, so no other failure may use it.
    const { message, stack } = error as Error
    const reason = error instanceof UserError ? message : stack
    throw new UserError(`Nothing was compared: ${reason}`, { exitCode: EXIT.failed })
  }
}

async function run(options: ReturnType<typeof readOptions>): Promise<number> {
  const { request } = await connectToService(['admin'], options.to)
  const service = new Service((method, path, body, headers) =>
    request('admin', method, path, body, headers),
  )
  const moved = await readMove(service, options.systems)
  const readBooks = () => readOldBooks(moved.system, options.location)
  const comparison = await compareBooks(service, moved, readBooks, options)
  const { lines, accounts, batches } = comparison
  const explained: Explained[] = []
  for (const line of lines.slice(0, MAX_EXPLAINED)) {
    explained.push({ line, behind: await readFlushes(service, line, accounts, batches) })
  }
  const text = options.json
    ? toJson(toComparisonJson(comparison, explained, options.tolerance))
    : formatComparison(comparison, explained).join('\n')
  // Not console.log: output that a pipe has not taken yet would be lost at exit.
  await Bun.write(Bun.stdout, `${text}\n`)
  return lines.length === 0 ? EXIT.equal : EXIT.different
}

function readOptions(args: string[]) {
  const text = { type: 'string' } as const
  const { values, positionals } = parse(() =>
    parseArgs({
      args,
      allowPositionals: true,
      options: {
        ...{ tolerance: text, fields: text, system: text, attempts: text, to: text },
        json: { type: 'boolean', default: false },
      },
    }),
  )
  const { tolerance = '0', fields = FIELDS.join(), attempts = '5', system, to, json } = values
  const chosen = fields.split(',') as Field[]
  const systems = system === undefined ? Object.values(SYSTEMS) : [SYSTEMS[system]]
  const isRight =
    positionals.length === 1 && /^\d{1,15}$/.test(tolerance) && /^[1-9]\d?$/.test(attempts)
  if (!isRight || !chosen.every((field) => FIELDS.includes(field)) || !systems[0]) {
    throw new UserError(USAGE)
  }
  return {
    ...{ location: positionals[0]!, tolerance: BigInt(tolerance), fields: chosen, to, json },
    ...{ attempts: Number(attempts), pauseMs: PAUSE_MS, systems: systems.map((found) => found!) },
  }
}

function parse<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    throw new UserError(`${(error as Error).message}\n${USAGE}`)
  }
}
