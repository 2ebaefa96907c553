import type { Adoption } from '../../events/types/unknown-keys-adopted.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { Projector } from '../../read-model/projector/projector.ts'
import { appendAct } from '../append-act.ts'
import { readAtNewestAct } from '../newest-act.ts'
import { decideAdoption, type KeysToAdopt, type Scanned, type ScansNeeded } from './decide.ts'
import type { LogScan, Used } from './scan-log.ts'

type AdoptionsOptions = {
  pools: Pools
  projector: Projector
  /** Reads a part of the log, off this thread (see `scanLog`). */
  scanLog: (scan: LogScan) => Promise<Used[]>
}

/** How long (ms) an adoption is tried again while other acts overtake it. */
const RECORD_MS = 30_000

/**
 * Adopts unknown keys, which the catalog must have by now: from then on, no flush can name them as
 * unknown. An adoption is decided as other acts are (see Books). It takes what it counts, so that
 * nothing is left for a second one: it needs no idempotency key.
 */
export class Adoptions {
  constructor(private readonly options: AdoptionsOptions) {}

  /**
   * Counts what the log holds for keys, which were unknown when it was posted. Returns null if
   * there is nothing. Throws TemporarilyUnavailable.
   */
  async adopt(
    keys: KeysToAdopt,
    source: string,
  ): Promise<{ position: number; adoption: Adoption } | null> {
    let end = performance.now() + RECORD_MS
    let scanned: Scanned | null = null
    do {
      const decided = await readAtNewestAct(this.options, async (transaction, before) => {
        const usable: Scanned | null = scanned?.before === before ? scanned : null
        return { before, adoption: await decideAdoption(transaction, keys, usable) }
      })
      if (decided === 'behind') continue
      const { before, adoption } = decided
      if (adoption === null) return null
      if ('scans' in adoption) {
        const started = performance.now()
        scanned = await this.#scan(before, adoption)
        end += performance.now() - started
        continue
      }
      const event = { type: 'UnknownKeysAdopted', payload: adoption } as const
      const appended = await appendAct(this.options.pools.append, before, event, source, null)
      if (appended !== null) return { position: appended.position, adoption }
    } while (performance.now() < end)
    throw new TemporarilyUnavailable('books busy')
  }

  async #scan(before: number, { names, through, scans }: ScansNeeded): Promise<Scanned> {
    const used: Scanned['used'] = { api_key: [], key: [] }
    for (const scan of scans)
      used[scan.kind] = used[scan.kind].concat(await this.options.scanLog(scan))
    return { before, names, through, used }
  }
}
