import { tryDecodeEvent } from '../../events/event.ts'
import { SERVICE_SOURCE, SHARDS_CHANGED_KEY } from '../../events/statement.ts'
import { findKey } from '../../log/find-keys.ts'
import { readEvent } from '../../log/read.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { UserError } from '../../platform/user-error.ts'
import { type Origin, readPrevious, readSigner } from './origin.ts'

/**
 * Refuses to sign a resharded log under the name that it had before: its trees can't continue the
 * ones that auditors have. Must be called before anything is signed. Throws UserError.
 */
export async function refuseReshardedOrigin(sql: Sql, origin: Origin): Promise<void> {
  const linked = namesOf(await readLinkedHeads(sql))
  const previous = await readPrevious(origin, 0)
  const names = [origin.name, ...namesOf(previous === null ? [] : [previous])]
  refuseNames(names, linked)
}

/**
 * The same check before an archive with the tree heads `heads` is resharded. Checks the origin of
 * the data directory that will sign the new log, and the name requested for it.
 */
export async function refuseOldOrigin(
  dataDir: string,
  requested: string | null,
  keysFile: string | null,
  heads: readonly string[],
): Promise<void> {
  const origin = await readSigner(dataDir, keysFile)
  const previous = origin === null ? null : await readPrevious(origin, 0)
  const names = namesOf(previous === null ? [] : [previous])
  if (origin !== null) names.push(origin.name)
  if (requested !== null) names.push(requested)
  refuseNames(names, namesOf(heads))
}

function refuseNames(names: readonly string[], linked: readonly string[]): void {
  const name = names.find((one) => linked.includes(one))
  if (name === undefined) return
  throw new UserError(
    `The old log was signed as ${name}. A resharded log can't continue its trees, and needs a ` +
      'name of its own: use another TALLYBOOK_DATA_DIR, without the old folder `transparency` in ' +
      'it, and a new name if TALLYBOOK_LOG_ORIGIN is set. If the data directory is new but ' +
      'already has the old name, run `tallybook key new-origin`.',
  )
}

/** Reads the tree heads that shard 0 links, which include that of the old shard 0. */
async function readLinkedHeads(sql: Sql): Promise<string[]> {
  const position = await findKey(sql, 0, SERVICE_SOURCE, SHARDS_CHANGED_KEY)
  const row = position === null ? null : await readEvent(sql, 0, position)
  if (row === null) return []
  const event = tryDecodeEvent(row)
  return event?.type === 'ShardsChanged' ? event.data.previous : []
}

/** Returns the distinct names of logs in notes, whose first line is `<name>/audit/log/<shard>`. */
function namesOf(notes: readonly string[]): string[] {
  const names = notes.map((note) => /^(.+)\/audit\/log\/\d+\n/.exec(note)?.[1])
  return [...new Set(names.filter((name) => name !== undefined))]
}
