import { UserError } from '../../platform/user-error.ts'
import { acceptBooks, withoutQuotas } from '../accept.ts'
import { type Accounts, readAccounts } from '../accounts.ts'
import type { OldSystem } from '../old-books.ts'
import { type MovedBatch, readMoved } from '../openings.ts'
import type { Service } from '../service.ts'
import type { TakenBooks } from '../systems/index.ts'
import { type Attempt, isSettled, judge, type Line, nameOf, openLines } from './judge.ts'
import { type Field, type Reading, readNow, readOld, readOpened } from './readings.ts'

export type Options = {
  tolerance: bigint
  fields: readonly Field[]
  /** How often amounts that are not equal are read again. */
  attempts: number
  pauseMs: number
}

export type Comparison = {
  system: OldSystem
  batches: readonly MovedBatch[]
  accounts: Accounts
  attempts: number
  /** The number of amounts that were compared. */
  amounts: number
  /** Those that are not equal: `different` first, then `moving`. */
  lines: Line[]
  /** Remarks for people, a sentence each. */
  notes: string[]
}

/** Reads opening balances of moves. Throws UserError unless exactly one system was moved whole. */
export async function readMove(
  service: Service,
  systems: readonly OldSystem[],
): Promise<{ system: OldSystem; batches: MovedBatch[] }> {
  const batches = await readMoved(
    service,
    systems.map(({ name }) => name),
  )
  const names = new Set(batches.map(({ opening }) => opening.origin.system))
  const system = systems.find(({ name }) => names.has(name))
  if (system === undefined) throw new UserError('The log has no opening balances of a move-in.')
  if (names.size > 1) {
    throw new UserError(`Several systems were moved (${[...names].join(', ')}): use --system.`)
  }
  const snapshots = new Set(batches.map(({ snapshot }) => snapshot))
  if (snapshots.size === 1 && batches.length === batches[0]!.batches) return { system, batches }
  throw new UserError(
    `The move of ${system.name} is not complete: ${batches.length} of ${batches[0]!.batches} ` +
      'batches are in the log. Run move-in again first.',
  )
}

/**
 * Compares what an older system and the service have counted for each account that was moved, or
 * that the older system has now. Amounts that differ are read again, as a flush may have been on
 * its way to one of the two.
 */
export async function compareBooks(
  service: Service,
  { system, batches }: { system: OldSystem; batches: readonly MovedBatch[] },
  readBooks: () => Promise<TakenBooks>,
  options: Options,
): Promise<Comparison> {
  const { areQuotasKept } = batches[0]!
  let accounts = await readAccounts(service, system)
  const opened = readOpened(batches, accounts)
  const equal = new Set<string>()
  let lines: Line[] = []
  for (let attempts = 1; ; attempts++) {
    const before = readNow(accounts)
    const books = await readBooks()
    const { accepted, findings } = acceptBooks(system, areQuotasKept ? books : withoutQuotas(books))
    accounts = await readAccounts(service, system)
    const old = readOld(system, accepted, areQuotasKept)
    const attempt: Attempt = { before, old, now: readNow(accounts) }
    const judged = judge(attempt, opened, options)
    for (const line of judged) if (line.verdict === 'equal') equal.add(nameOf(line))
    const open = openLines(judged, equal)
    const isLast = attempts >= options.attempts || isSettled(lines, open)
    lines = open
    if (isLast) {
      const notes = listNotes(attempt, opened, findings.length)
      const amounts = judged.length
      return { system, batches, accounts, attempts, amounts, lines: inOrder(lines), notes }
    }
    await Bun.sleep(options.pauseMs)
  }
}

const inOrder = (lines: readonly Line[]) => [
  ...lines.filter(({ verdict }) => verdict === 'different'),
  ...lines.filter(({ verdict }) => verdict === 'moving'),
]

function listNotes({ old, now }: Attempt, opened: Reading, findings: number): string[] {
  const gone = [...opened.keys()].filter((account) => !old.has(account))
  const added = [...old.keys()].filter((account) => !opened.has(account))
  const missing = added.filter((account) => !now.has(account))
  const notes: string[] = []
  if (gone.length > 0) {
    notes.push(`${listed(gone)} were moved, but are not in the old system any more: not compared.`)
  }
  if (added.length > missing.length) {
    notes.push(`${added.length - missing.length} accounts are new since the move.`)
  }
  if (missing.length > 0) notes.push(`${listed(missing)} are not in the catalog.`)
  if (findings > 0) notes.push(`${findings} findings, as in move-in --dry-run: not compared.`)
  return notes
}

function listed(accounts: readonly string[]): string {
  const more = accounts.length > 3 ? ` and ${accounts.length - 3} more` : ''
  return `${accounts.slice(0, 3).join(', ')}${more}`
}
