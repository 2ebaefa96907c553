import { parseArgs } from 'node:util'
import { acceptBooks, withoutQuotas } from '../move-in/accept.ts'
import { digestOf } from '../move-in/batches.ts'
import { FINDING_KINDS, type Finding } from '../move-in/findings.ts'
import { type Move, move, undoMove } from '../move-in/move.ts'
import { Service } from '../move-in/service.ts'
import { readOldBooks, SYSTEMS } from '../move-in/systems/index.ts'
import { balance, checkSums, countLeftOut } from '../move-in/trial-balance.ts'
import { verifyMove } from '../move-in/verify.ts'
import { UserError } from '../platform/user-error.ts'
import { toPlain } from './audit-output.ts'
import { connectToService } from './client.ts'
import { formatBalance, formatVerification, listFindings } from './move-in-output.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = `Usage: tallybook move-in <system> <database> [options]
       tallybook move-in <system> --undo
Reads the keys and totals of an older system in one snapshot, prints a trial balance, and writes
catalog and opening balances. Nothing is written to the older system. docs/guides/moving-in.md
has an example. If it is killed, run it again: it goes on, and counts nothing twice.
  <system>    ${Object.keys(SYSTEMS).join(', ')}
  <database>  a postgres:// URL, whose password may be in PGPASSWORD; for new-api also a mysql://
              URL, a DSN as in SQL_DSN, or a file of SQLite
  --dry-run   print the trial balance, and write nothing
  --skip      findings that do not refuse the move, separated by commas:
              ${FINDING_KINDS.slice(0, 6).join(', ')},
              ${FINDING_KINDS.slice(6).join(', ')}
  --quotas    keep (the default), or drop: move keys without limits and without what they used
  --to        the URL of the service. Default: the one at TALLYBOOK_HOST and TALLYBOOK_PORT
  --undo      take the opening balances of this system back, by reversals`

/** Moves an older system to a running service. */
export async function moveIn(args: string[]): Promise<void> {
  const { system, location, ...options } = readOptions(args)
  if (options.undo) {
    const positions = await undoMove(await openService(options.to), system)
    console.log(`Reversed ${positions.length} opening balances: ${positions.join(', ') || 'none'}.`)
    return
  }
  const read = await readOldBooks(system, location)
  checkSums(read)
  const { areQuotasKept } = options
  const books = areQuotasKept ? read : withoutQuotas(read)
  const { accepted, findings, notes } = acceptBooks(system, books)
  const moving: Move = { system, accepted, takenAt: books.takenAt, areQuotasKept }
  printTrialBalance(moving, [...notes, ...listFindings(findings), ...countLeftOut(books, accepted)])
  refuse(findings, options.skip)
  if (options.isDryRun) console.log('A dry run: nothing was written.')
  else await write(await openService(options.to), moving)
}

function printTrialBalance(moving: Move, remarks: readonly string[]): void {
  const { system, accepted, takenAt, areQuotasKept } = moving
  const snapshot = digestOf(system.name, accepted, areQuotasKept).slice(0, 12)
  console.log(`Trial balance of ${system.name}, ${takenAt}, snapshot ${snapshot}`)
  print(formatBalance(balance(accepted)))
  const hasLimits = accepted.keys.some(({ limit }) => limit !== null)
  if (system.quotaUnit !== null && hasLimits) {
    console.log(`Quotas are in ${system.quotaUnit}: the gateway must post these as tokens.`)
  }
  print(remarks.map(toPlain))
}

/** Writes a move, reads it back, and prints both. */
async function write(service: Service, moving: Move): Promise<void> {
  const moved = await move(service, moving)
  const { catalog, batches, recordedBefore } = moved
  const positions = batches.map(({ position }) => `0/${position}`).join(', ')
  const before = recordedBefore > 0 ? ` (${recordedBefore} of an earlier attempt)` : ''
  console.log(`\nCatalog: ${catalog.put} rows added or changed, ${catalog.retired} retired.`)
  console.log(`Opening balances: ${positions}${before}.`)
  const { sums, differences } = await verifyMove(service, moving, moved)
  print(formatVerification(sums, differences))
  if (differences.length > 0) {
    throw new UserError('What was written is not what was read: do not rely on this move.')
  }
}

const print = (lines: readonly string[]) => {
  for (const line of lines) console.log(line)
}

async function openService(url: string | undefined): Promise<Service> {
  const { request } = await connectToService(['admin'], url)
  return new Service((method, path, body, headers) => request('admin', method, path, body, headers))
}

function refuse(findings: readonly Finding[], skip: ReadonlySet<string>): void {
  const kinds = new Set(findings.map(({ kind }) => kind).filter((kind) => !skip.has(kind)))
  if (kinds.size === 0) return
  throw new UserError(
    'Nothing was written. Correct this in the old system, or move the rest with ' +
      `--skip ${[...new Set([...skip, ...kinds])].join(',')}`,
  )
}

function readOptions(args: string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const fail = (message: string) => new UserError(`${message}\n${USAGE}`)
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { 'dry-run': flag, undo: flag, skip: text, quotas: text, to: text },
    })
    const [name = '', location = '', ...rest] = positionals
    const system = SYSTEMS[name]
    const { quotas = 'keep', skip = '', to, undo } = values
    const skipped = skip.split(',').filter(Boolean)
    const isKnown = skipped.every((kind) => (FINDING_KINDS as readonly string[]).includes(kind))
    const isRight = isKnown && ['keep', 'drop'].includes(quotas) && rest.length === 0
    if (system === undefined || !isRight || (location === '') !== undo) throw new UserError(USAGE)
    return {
      ...{ system, location, undo, to, isDryRun: values['dry-run'] },
      ...{ skip: new Set(skipped), areQuotasKept: quotas === 'keep' },
    }
  } catch (error) {
    throw error instanceof UserError ? error : fail((error as Error).message)
  }
}
