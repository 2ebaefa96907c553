import type { LastDecisions } from '../events/act.ts'
import type { Positions } from '../events/positions.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { checkParts } from './check.ts'
import { fillEmptyLog, Inserts, refuse, refuseRepeatedKeys } from './insert.ts'
import { noteDecision, refuseMisplaced, setLastDecisions } from './last-decisions.ts'
import type { Manifest } from './manifest.ts'
import { checkSignedHeads } from './transparency.ts'

/** Options of an import. */
export type ImportOptions = {
  /** Connects as the service's role: an import may do no more than an append. */
  sql: Sql
  /** Creates what a shard of the log lacks up to a position. */
  reserve: (shard: number, through: number) => Promise<void>
  directory: string
  manifest: Manifest
  signal: AbortSignal
  onProgress: (events: number, total: number) => void
}

/**
 * Inserts an archive into an empty log and checks it on the way. Returns the last position of each
 * shard. Runs in one transaction: a problem, an abort or a kill before its end leaves the log
 * empty, and no reader sees part of it. Throws UserError.
 *
 * Locks: every shard's row, until commit. An append of a running service waits for 5 s, then asks
 * its clients to retry. After the commit it finds its catalog stale and loads the imported one.
 */
export async function importArchive(options: ImportOptions): Promise<Positions> {
  const { directory, manifest, signal } = options
  await checkSignedHeads(directory, manifest, refuse)
  await fillEmptyLog(options.sql, manifest.shards.length, async (transaction) => {
    await setLastDecisions(transaction, await insertAll(transaction, options))
    await refuseRepeatedKeys(transaction)
    signal.throwIfAborted()
  })
  return manifest.shards.map(({ events }) => events - 1)
}

/** Inserts all events. */
async function insertAll(transaction: Transaction, options: ImportOptions): Promise<LastDecisions> {
  const { directory, manifest, onProgress } = options
  const last: LastDecisions = { change: -1, act: -1 }
  let imported = 0
  const inserts = new Inserts(transaction, options, (events) => {
    imported += events
    onProgress(imported, manifest.events)
  })
  for await (const events of checkParts(directory, manifest, refuse)) {
    for (const checked of events) {
      const { shard, position, type } = checked.event
      refuseMisplaced(checked.event)
      if (shard === 0) noteDecision(last, type, position)
      await inserts.add(checked)
    }
  }
  await inserts.end()
  return last
}
