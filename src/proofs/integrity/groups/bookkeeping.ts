import { actOf } from '../../../events/act.ts'
import type { DigestValue } from '../../../events/digest.ts'
import type { Event } from '../../../events/event.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { compareKeys } from '../../verifier/exact-sums.ts'
import { compareRows } from '../compare.ts'
import type { Problem } from '../problem.ts'
import type { ProjectionTable, Target } from '../tables.ts'

const ACTS: ProjectionTable = {
  name: 'acts',
  key: ['position'],
  values: ['type', 'reason', 'reversed_shard', 'reversed_position', 'quarter'],
  isSharded: false,
}
const OPENINGS: ProjectionTable = {
  name: 'openings',
  key: ['kind', 'account', 'position'],
  values: [],
  isSharded: false,
}

const QUOTA_RESETS: ProjectionTable = {
  name: 'quota_resets',
  key: ['token_hash', 'position'],
  values: ['reset_at'],
  isSharded: false,
}

/** The tables of the projection of acts. */
export const BOOKKEEPING_TABLES = [ACTS, OPENINGS, QUOTA_RESETS]

/** The rows that the acts of a log must have made. */
export class BookkeepingRows {
  readonly #acts: DigestValue[][] = []
  readonly #openings: [string, string, number][] = []
  readonly #resets: [string, number, string][] = []

  add(event: Event, position: number, recordedAt: string): void {
    const act = actOf(event, recordedAt)
    if (act === null) return
    if (act.type === 'ShardsChanged') {
      const places = new Map(act.moved)
      for (const row of this.#acts) {
        const to = places.get(row[0] as number)
        if (to !== undefined) row.splice(3, 2, to.shard, to.position)
      }
      return
    }
    const reason = 'reason' in act ? act.reason : null
    const reversed = act.type === 'EventReversed' ? [act.shard, act.position] : [null, null]
    this.#acts.push([position, act.type, reason, ...reversed, toRowTime(act.quarter)])
    if (act.type === 'QuotaReset') this.#resets.push([act.token_hash, position, act.at])
    if (event.type !== 'BalancesOpened') return
    const { provider_groups, api_keys, keys } = event.data
    const open = (kind: string, accounts: readonly (number | string)[] = []) => {
      for (const account of accounts) this.#openings.push([kind, String(account), position])
    }
    open('provider_group', provider_groups?.ids)
    open('api_key', api_keys?.ids)
    open('key', keys?.hashes)
  }

  async compare(sql: Transaction, target: Target): Promise<Problem[]> {
    const openings = this.#openings.toSorted(
      (a, b) => compareKeys(a[0], b[0]) || compareKeys(a[1], b[1]) || a[2] - b[2],
    )
    const resets = this.#resets.toSorted((a, b) => compareKeys(a[0], b[0]) || a[1] - b[1])
    return [
      ...(await compareRows(sql, QUOTA_RESETS, target, resets)),
      ...(await compareRows(sql, ACTS, target, this.#acts)),
      ...(await compareRows(sql, OPENINGS, target, openings)),
    ]
  }
}

/** Writes a quarter hour as a digest row does. */
const toRowTime = (quarter: string | null) =>
  quarter?.replace(/:00\+00:00$/, ':00.000000+00:00') ?? null
