import { addExact, type Exact } from '../../events/exact.ts'
import type { Adoption } from '../../events/types/unknown-keys-adopted.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import { appendAct } from '../append-act.ts'
import { type ActProjector, readAtNewestAct } from '../newest-act.ts'
import {
  type AdoptionLimits,
  countLeft,
  decideAdoption,
  type KeysToAdopt,
  type ScansNeeded,
} from './decide.ts'
import type { LogScan } from './log-scan.ts'

type AdoptionsOptions = AdoptionLimits & {
  pools: Pools
  projector: ActProjector
  /** How long (ms) an adoption is tried while other acts overtake it, or the log is read. */
  adoptWithinMs: number
}

/** A recorded adoption: its position, the keys for which it counted, and their requests. */
export type Adopted = { position: number; apiKeys: number; keys: number; requests: Exact }

/**
 * Adopts unknown keys, which the catalog must have by now: from then on, no flush can name them as
 * unknown. An adoption is decided as other acts are (see Books). It takes what it counts, so that
 * nothing is left for a second one: it needs no idempotency key.
 */
export class Adoptions {
  #isStopping = false

  constructor(private readonly options: AdoptionsOptions) {}

  /** Stops reading the log. What was read is lost. */
  stop(): void {
    this.#isStopping = true
  }

  /**
   * Counts what the log holds for keys, which were unknown when it was posted. Returns null if
   * there is nothing, and 'too large', having recorded nothing, if it is more than the limits
   * allow. Throws TemporarilyUnavailable; if that is because the log is long, a repeated request
   * goes on where this one ended.
   */
  async adopt(keys: KeysToAdopt, source: string): Promise<Adopted | 'too large' | null> {
    const { pools, adoptWithinMs } = this.options
    const end = performance.now() + adoptWithinMs
    for (;;) {
      const decided = await readAtNewestAct(this.options, async (transaction, before) => ({
        before,
        outcome: await decideAdoption(transaction, keys, this.options),
      }))
      if (decided !== 'behind') {
        const { before, outcome } = decided
        if (outcome === 'too large') return outcome
        if (!('adoption' in outcome)) {
          await this.#readLog(outcome, end)
          continue
        }
        const { adoption } = outcome
        if (adoption === null) return null
        const event = { type: 'UnknownKeysAdopted', payload: adoption } as const
        const appended = await appendAct(pools.append, before, event, source, null)
        if (appended !== null) {
          leaveOut(outcome.scans, adoption)
          return toAdopted(appended.position, adoption)
        }
      }
      if (performance.now() >= end) throw new TemporarilyUnavailable('books busy')
    }
  }

  /** Reads the log. Throws TemporarilyUnavailable if there is no time left to read all of it. */
  async #readLog({ scans, heads }: ScansNeeded, end: number): Promise<void> {
    for (const scan of scans) {
      const head = heads[scan.shard]!
      while (scan.countLeft(head) > 0) {
        await scan.readStep(this.options.pools.read, head)
        if (this.#isStopping) throw new TemporarilyUnavailable('stopping')
        const left = countLeft({ scans, heads })
        if (left === 0 || performance.now() < end) continue
        const detail = `${left} events of the log are left to read. Repeat the request to go on.`
        throw new TemporarilyUnavailable('reading the log', 1, detail)
      }
    }
  }
}

/** A repeated request finds what was read, and nothing in it. */
function leaveOut(scans: readonly LogScan[], { api_keys, keys }: Adoption): void {
  const adopted = { api_key: new Set(api_keys?.names), key: new Set(keys?.hashes) }
  for (const scan of scans) scan.leaveOut(adopted[scan.kind])
}

function toAdopted(position: number, { api_keys, keys }: Adoption): Adopted {
  let requests: Exact = 0
  for (const count of api_keys?.requests ?? []) requests = addExact(requests, count)
  for (const count of keys?.requests ?? []) requests = addExact(requests, count)
  return {
    position,
    apiKeys: new Set(api_keys?.ids).size,
    keys: new Set(keys?.hashes).size,
    requests,
  }
}
