import { PayloadError } from '../../events/columns.ts'
import { decodeEvent } from '../../events/event.ts'
import { SERVICE_SOURCE, SHARDS_CHANGED_KEY } from '../../events/statement.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { UserError } from '../../platform/user-error.ts'
import { type Origin, readPrevious, readSigner } from './origin.ts'

/**
 * Refuses to sign a log that was dealt to another number of shards under the name that it had
 * before: its trees can't continue those that auditors have. Asked before anything is signed.
 */
export async function refuseReshardedOrigin(sql: Sql, origin: Origin): Promise<void> {
  const linked = namesOf(await readLinkedHeads(sql))
  const previous = await readPrevious(origin, 0)
  const names = [origin.name, ...namesOf(previous === null ? [] : [previous])]
  refuseNames(names, linked)
}

/**
 * The same before an archive is dealt, whose tree heads are `heads`: of the data directory that
 * will sign the new log, and of the name that is wanted for it.
 */
export async function refuseOldOrigin(
  dataDir: string,
  wanted: string | null,
  heads: readonly string[],
): Promise<void> {
  const origin = await readSigner(dataDir)
  const previous = origin === null ? null : await readPrevious(origin, 0)
  const names = namesOf(previous === null ? [] : [previous])
  if (origin !== null) names.push(origin.name)
  if (wanted !== null) names.push(wanted)
  refuseNames(names, namesOf(heads))
}

function refuseNames(names: readonly string[], linked: readonly string[]): void {
  const name = names.find((one) => linked.includes(one))
  if (name === undefined) return
  throw new UserError(
    `A log that is dealt from one that was signed as ${name} can't continue its trees, and needs ` +
      'a name of its own: another TALLYBOOK_DATA_DIR, without the old folder `transparency` in ' +
      'it, and a new name where TALLYBOOK_LOG_ORIGIN gives one (`tallybook key new-origin` where ' +
      'the data directory is new and has got the old name).',
  )
}

/** The tree heads that shard 0 cites, among them that of the old shard 0. */
async function readLinkedHeads(sql: Sql): Promise<string[]> {
  const [row] = await sql<{ type: string; version: number; payload: string }[]>`
    select e.type, e.version, e.payload::text as payload
    from events e
    where e.shard = 0
      and e.source = ${SERVICE_SOURCE}
      and e.idempotency_key = ${SHARDS_CHANGED_KEY}`
  if (!row) return []
  try {
    const event = decodeEvent(row.type, row.version, row.payload)
    return event.type === 'ShardsChanged' ? event.data.previous : []
  } catch (error) {
    if (error instanceof PayloadError) return []
    throw error
  }
}

/** The names of logs, from notes whose first line is `<name>/audit/log/<shard>`. */
function namesOf(notes: readonly string[]): string[] {
  const names = notes.map((note) => /^(.+)\/audit\/log\/\d+\n/.exec(note)?.[1])
  return [...new Set(names.filter((name) => name !== undefined))]
}
