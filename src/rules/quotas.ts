import { covers, type Positions } from '../events/positions.ts'
import type { RuleOf } from '../events/rule.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { History } from '../quota/earlier.ts'
import { type QuotaUse, readUsedQuotas } from '../quota/exhausted.ts'
import { hasPeriods } from '../quota/kinds.ts'
import { NOW, readPeriods } from '../quota/used.ts'
import { CURRENT } from '../read-model/projections/index.ts'
import { usage } from '../read-model/projections/usage.ts'
import type { Projector } from '../read-model/projector/projector.ts'
import { readNow } from '../read-model/queries/live.ts'
import { type Measured, type MeasuredRule, toCount } from './decide.ts'

type QuotaRule = RuleOf<'quota'>

/** How long (ms) projections are awaited. */
const CATCH_UP_MS = 10_000

const ALL = { scope: { tokenHash: null } }

type Options = { sql: Sql; projector: Projector; history: History }

/**
 * Measures what keys have used of their quotas: those that have used the least percentage of a
 * rule, and `hashes`, which have crossed one. Throws TemporarilyUnavailable while the projections
 * are behind `heads`.
 */
export async function measureQuotas(
  options: Options,
  rules: readonly QuotaRule[],
  hashes: readonly string[],
  heads: Positions,
): Promise<MeasuredRule[]> {
  const wanted = { percent: Math.min(...rules.map(({ percent }) => percent)), hashes }
  const { uses, positions } = await readUses(options, wanted, heads)
  const byHash = new Map(uses.map((use) => [use.token_hash, use]))
  return rules.map((rule) => {
    const one = rule.token_hash === undefined ? undefined : byHash.get(rule.token_hash)
    const watched = rule.token_hash === undefined ? uses : one ? [one] : []
    return { rule, measured: measureEach(rule, watched, positions) }
  })
}

/** One at a time: many rules may watch the same 100,000 keys. */
function* measureEach(rule: QuotaRule, uses: readonly QuotaUse[], through: Positions) {
  for (const use of uses) yield toMeasured(rule, use, through)
}

async function readUses(
  { sql, projector, history }: Options,
  wanted: { percent: number; hashes: readonly string[] },
  heads: Positions,
): Promise<{ uses: QuotaUse[]; positions: Positions }> {
  // Usage, which is folded less often, is only needed if a key has a period.
  const read = (withPeriods: boolean) =>
    readNow(
      sql,
      async (transaction, source) => {
        if (withPeriods) {
          const periods = await readPeriods(transaction, source, history, { ...ALL, ...NOW })
          return readUsedQuotas(transaction, source, periods, wanted)
        }
        if (await hasPeriods(transaction, source, ALL.scope)) return null
        return readUsedQuotas(transaction, source, null, wanted)
      },
      withPeriods ? [...CURRENT, usage] : CURRENT,
    )
  let { value, positions } = await read(false)
  if (value === null) {
    if (!(await projector.reach(heads, CATCH_UP_MS, 'usage'))) throw behind()
    ;({ value, positions } = await read(true))
  }
  if (!covers(positions, heads)) {
    projector.noticeLoss(positions)
    throw behind()
  }
  return { uses: value!, positions }
}

const behind = () => new TemporarilyUnavailable('projections behind')

function toMeasured(
  { percent }: QuotaRule,
  { token_hash, quota_limit, quota_used }: QuotaUse,
  through: Positions,
): Measured {
  const isCrossed = BigInt(quota_used) * 100n >= BigInt(quota_limit) * BigInt(percent)
  return {
    subject: { kind: 'key', id: token_hash },
    state: isCrossed ? 'crossed' : 'clear',
    value: { quota_used: toCount(quota_used), quota_limit },
    through,
  }
}
