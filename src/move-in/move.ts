import { UserError } from '../platform/user-error.ts'
import type { Accepted } from './accept.ts'
import { type Accounts, readAccounts } from './accounts.ts'
import { type Batch, digestOf, toBatches } from './batches.ts'
import { type CatalogChanges, moveCatalog } from './catalog.ts'
import type { OldSystem } from './old-books.ts'
import { formatMark, type MovedBatch, readAllMoved, readMoved } from './openings.ts'
import { Refused, type Service } from './service.ts'

export type Move = {
  system: OldSystem
  accepted: Accepted
  /** When the snapshot was taken, RFC 3339. */
  takenAt: string
  areQuotasKept: boolean
  /** How many rows are opened together; BATCH_ROWS if absent. */
  batchRows?: number
}

/** What a move did: batches recorded by an earlier attempt are not recorded again. */
export type Moved = {
  snapshot: string
  catalog: CatalogChanges
  batches: MovedBatch[]
  recordedBefore: number
}

/**
 * Writes the catalog and the opening balances. Everything can be repeated: the catalog is compared
 * with what is there, and each batch of balances has an idempotency key that follows from the
 * snapshot. So a move that was killed continues if it is run again on the same snapshot. Throws
 * UserError if the log has balances of another one, which would count twice.
 */
export async function move(service: Service, moving: Move): Promise<Moved> {
  const { system, accepted, areQuotasKept } = moving
  const snapshot = digestOf(system.name, accepted, areQuotasKept)
  const all = await readAllMoved(service, [system.name])
  const before = all.filter(({ isReversed }) => !isReversed)
  refuseOther(system, snapshot, before)
  // No balance is recorded before the catalog is complete.
  const isNew = before.length === 0
  const catalog = isNew ? await moveCatalog(service, system, accepted) : { put: 0, retired: 0 }
  const accounts = await readAccounts(service, system)
  const batches = toBatches(accepted, moving.batchRows)
  // The time of the first attempt: all batches have the same, and a repeat must be equal.
  let asOf = before[0]?.opening.as_of ?? moving.takenAt
  for (const [i, rows] of batches.entries()) {
    const batch = i + 1
    if (before.some((of) => of.batch === batch)) continue
    const note = formatMark({ snapshot, batch, batches: batches.length, areQuotasKept })
    // A batch that was reversed is recorded anew, not answered as a repetition.
    const reversed = all.filter((of) => of.snapshot === snapshot && of.batch === batch).length
    const key = `move-in:${system.name}:${snapshot}:${batch}${reversed > 0 ? `:${reversed}` : ''}`
    const open = () => {
      const origin = { system: system.name, note }
      const body = { as_of: asOf, origin, ...toRows(rows, accounts) }
      return service.send('POST', '/admin/balances', body, { 'idempotency-key': key })
    }
    try {
      await open()
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      // An attempt that was killed has recorded this batch after the log was read.
      const recorded = await readMoved(service, [system.name])
      refuseOther(system, snapshot, recorded)
      const [first] = recorded
      if (error.error !== 'idempotency key reused' || first === undefined) throw explain(error)
      asOf = first.opening.as_of
      await open()
    }
  }
  const after = await readMoved(service, [system.name])
  return { snapshot, catalog, batches: after, recordedBefore: before.length }
}

function refuseOther({ name }: OldSystem, snapshot: string, before: readonly MovedBatch[]): void {
  const other = before.find((batch) => batch.snapshot !== snapshot)
  if (other === undefined) return
  const of = before.filter((batch) => batch.snapshot === other.snapshot)
  throw new UserError(
    `The log has opening balances of ${name} already, of another snapshot ` +
      `(${other.snapshot.slice(0, 12)}, as of ${other.opening.as_of}): ${of.length} of ` +
      `${other.batches} batches, the first at 0/${other.position}. Nothing was written, as they ` +
      'would count twice. To begin again, take them back first: ' +
      `tallybook move-in ${name} --undo`,
  )
}

function explain(error: Refused): UserError {
  if (error.error !== 'already open') return error
  return new UserError(
    `${error.message} These balances were not recorded by a move. Reverse them, or leave out ` +
      'these rows. What was written stays: run the same command again to go on.',
  )
}

/** Makes the rows of a request. The ids of rows with external names are those of the service. */
function toRows(batch: Batch, { groups, apiKeys }: Accounts) {
  const rated = (rows: Batch['groups'], there: Accounts['groups']) =>
    rows.map(({ ref, requests, successes }) => ({
      id: idOf(there, ref),
      total_requests: Number(requests),
      success_requests: Number(successes),
    }))
  return {
    provider_groups: rated(batch.groups, groups),
    api_keys: rated(batch.apiKeys, apiKeys),
    keys: batch.keys.map(({ ref, requests, tokens, used, lastAccess }) => ({
      token_hash: ref,
      request_count: Number(requests),
      used_tokens: Number(tokens),
      quota_used: Number(used),
      last_accessed_at: Number(lastAccess ?? 0n),
    })),
  }
}

function idOf(there: Accounts['groups'], ref: string): number {
  const row = there.get(ref)
  if (row !== undefined) return row.id
  throw new UserError(`The catalog has no row ${ref}: someone has changed it meanwhile.`)
}

/**
 * Takes back the opening balances of all moves of a system, by reversals. The catalog stays.
 * Returns their positions.
 */
export async function undoMove(service: Service, system: OldSystem): Promise<string[]> {
  const moved = await readMoved(service, [system.name])
  for (const { position } of moved) {
    const body = { reverse: `0/${position}`, reason: `the move-in of ${system.name} is undone` }
    const key = { 'idempotency-key': `move-in:undo:${position}` }
    await service.send('POST', '/admin/corrections', body, key)
  }
  return moved.map(({ position }) => `0/${position}`)
}
