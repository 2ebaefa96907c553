import { createHash } from 'node:crypto'
import type { Accepted } from './accept.ts'
import type { OldKey, OldRated } from './old-books.ts'

/** Opening balances that are recorded together, with the names of the older system. */
export type Batch = { groups: OldRated[]; apiKeys: OldRated[]; keys: OldKey[] }

/** Rows of a batch: some 700 kB. */
export const BATCH_ROWS = 5_000

/**
 * Divides rows into batches: groups first, then API keys, then token keys. Equal rows make equal
 * batches. There is at least one, even if there is no row.
 */
export function toBatches({ groups, apiKeys, keys }: Accepted, size: number = BATCH_ROWS): Batch[] {
  const batches: Batch[] = []
  const rows = groups.length + apiKeys.length + keys.length
  const cut = <Row>(list: readonly Row[], from: number, before: number) =>
    list.slice(Math.max(0, from - before), Math.max(0, from - before + size))
  for (let from = 0; from < rows; from += size) {
    batches.push({
      groups: cut(groups, from, 0),
      apiKeys: cut(apiKeys, from, groups.length),
      keys: cut(keys, from, groups.length + apiKeys.length),
    })
  }
  return batches
}

/**
 * Returns the SHA-256 of all rows with their amounts, and of whether quotas are kept: what makes
 * two snapshots of an older system the same.
 */
export function digestOf(
  system: string,
  { groups, apiKeys, keys }: Accepted,
  areQuotasKept: boolean,
): string {
  const digest = createHash('sha256')
  const add = (line: unknown) =>
    digest.update(
      `${JSON.stringify(line, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}\n`,
    )
  add(['tallybook move-in', 1, system, areQuotasKept])
  for (const [kind, rows] of Object.entries({ groups, apiKeys, keys })) {
    for (const row of rows) add([kind, Object.entries(row).sort()])
  }
  return digest.digest('hex')
}
