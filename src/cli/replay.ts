import { createInterface } from 'node:readline'
import { ACCOUNTS } from '../events/accounts.ts'
import { isAct } from '../events/act.ts'
import { formatPositions, type Positions, parsePositions } from '../events/positions.ts'
import { explain, type Step } from '../explain/page.ts'
import { connectAsOwner, openPools } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import { readShards } from '../read-model/projector/checkpoint.ts'
import { AsOfQueries } from '../read-model/queries/as-of.ts'
import type { Counted } from '../read-model/queries/contribution.ts'
import { readCounted } from '../read-model/queries/counted.ts'
import { EVERYTHING, type Scope } from '../read-model/queries/scope.ts'
import { openArchive } from '../retention/open.ts'
import { readConfig } from '../service/config.ts'
import { openDatabase } from './database.ts'
import { explainFailure } from './failure.ts'
import { untilInterrupted } from './interrupt.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = `Usage: tallybook replay [--key <id or hash> | --group <id>] [options]
  --key    one API key (a number) or token key (its hash); --token-hash takes any hash
  --group  one provider group; without --key or --group, all groups together
  --to     as of a time (RFC 3339) or of positions (0/41,1/7)
  --step   one event at a time: Enter continues, q quits`

/** Events per read. */
const PAGE = 1_000

type Arguments = { scope: Scope; to: string | null; isStepping: boolean }

/** Shows how a number came about: each event that added to it, with the running total. */
export async function replay(args: string[]): Promise<void> {
  const { scope, to, isStepping } = readArguments(args)
  const signal = untilInterrupted()
  const config = readConfig(process.env)
  const database = await openDatabase(config, (message) => console.error(message))
  const owner = connectAsOwner(database.address)
  const shards = await readShards(owner)
  const pools = openPools(database.address, shards)
  const archive = openArchive(database.address, pools, config.archive)
  const answers = isStepping ? askToContinue() : null
  try {
    const history = new AsOfQueries(pools, shards)
    const from = { sql: pools.read, history }
    const end = await findEnd(history, to)
    let running: Counted = []
    for (let after: Positions | null = end.map(() => -1); after; ) {
      signal.throwIfAborted()
      const page: Awaited<ReturnType<typeof explain>> = await explain(
        from,
        scope,
        { after, through: end },
        PAGE,
      )
      for (const step of page.steps) {
        signal.throwIfAborted()
        console.log(formatStep(scope, step))
        running = step.running
        if (answers && !(await answers.next()).value) return
      }
      after = page.next
    }
    if (running.length === 0) running = await readCounted(from, scope, end)
    console.log(`${format(scope, running)} as of ${formatPositions(end)}`)
  } catch (error) {
    throw explainFailure(error, 'The replay failed')
  } finally {
    await answers?.return(undefined)
    await archive.close()
    await pools.close()
    await owner.end({ timeout: 5 })
    await database.close()
  }
}

function readArguments(args: string[]): Arguments {
  const read: Arguments = { scope: EVERYTHING, to: null, isStepping: false }
  const rest = [...args]
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '--step') {
      read.isStepping = true
      continue
    }
    const value = rest.shift()
    if (!value) throw new UserError(USAGE)
    if (name === '--to') read.to = value
    else if (read.scope === EVERYTHING) read.scope = readScope(name, value)
    else throw new UserError(USAGE)
  }
  return read
}

function readScope(name: string, value: string): Scope {
  const isId = /^[1-9]\d{0,15}$/.test(value)
  if (name === '--group' && isId) return { kind: 'provider_group', account: Number(value) }
  if (name === '--key' && isId) return { kind: 'api_key', account: Number(value) }
  if (name === '--key' || name === '--token-hash') return { kind: 'key', account: value }
  throw new UserError(USAGE)
}

async function findEnd(history: AsOfQueries, to: string | null): Promise<Positions> {
  const asked = to === null ? [] : parsePositions(to, history.shards)
  const end = asked ? await history.positionsOf(asked) : await history.positionsAsOf(readTime(to!))
  if (end === null) throw new UserError(`${to} is beyond the end of the log.`)
  return end
}

function readTime(text: string): string {
  try {
    return Temporal.Instant.from(text).toString()
  } catch {
    throw new UserError(USAGE)
  }
}

/** Yields, for each line typed, true to continue and false to quit; ends with the input. */
async function* askToContinue(): AsyncGenerator<boolean> {
  const lines = createInterface({ input: process.stdin })
  try {
    for await (const line of lines) yield line.trim() !== 'q'
  } finally {
    lines.close()
  }
}

/**
 * Formats a step as `0/41  2026-01-31T12:00:00.123456+00:00  dp  +10 requests … = 110 requests …`.
 * The type of an act follows its source, and so does the time of its own that a flush states:
 * `dp counted at 2026-01-31T11:00:00Z`.
 */
function formatStep(scope: Scope, step: Step): string {
  const { shard, position, type, recordedAt, source, countedAt, counted, running } = step
  const time = countedAt === null ? '' : ` counted at ${formatSeconds(countedAt)}`
  const by = isAct(type) ? `${source} ${type}` : source + time
  const added = formatAdded(scope, counted)
  return `${shard}/${position}  ${recordedAt}  ${by}  ${added} = ${format(scope, running)}`
}

const formatSeconds = (seconds: number) =>
  Temporal.Instant.fromEpochMilliseconds(seconds * 1_000).toString()

/** Formats `+10 requests +9 successes`, or `-10 requests -9 successes` for what is taken back. */
function formatAdded(scope: Scope, counted: Counted): string {
  const amounts = format(scope, counted).split(', ')
  return amounts.map((amount) => (amount.startsWith('-') ? amount : `+${amount}`)).join(' ')
}

/** Formats `110 requests, 99 successes`. */
function format({ kind }: Scope, counted: Counted): string {
  return ACCOUNTS[kind].sums.map((name, i) => `${counted[i]} ${name.replace('_', ' ')}`).join(', ')
}
