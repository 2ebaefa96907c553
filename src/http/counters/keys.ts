import type { Positions } from '../../events/positions.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { hasPeriods, type QuotaState, readPeriods } from '../../quota/used.ts'
import { CURRENT } from '../../read-model/projections/index.ts'
import { usage } from '../../read-model/projections/usage.ts'
import type { AwaitedGroup } from '../../read-model/projector/projector.ts'
import type { AsOfQueries } from '../../read-model/queries/as-of.ts'
import { type Key, readKeys } from '../../read-model/queries/keys.ts'
import type { Page, PageRequest } from '../../read-model/queries/keyset-page.ts'
import { type Reflected, readNow } from '../../read-model/queries/live.ts'
import type { Source } from '../../read-model/queries/live-source.ts'
import type { RequestContext } from '../admission.ts'
import { toMoment } from '../params.ts'
import {
  type AsOf,
  answerRead,
  consistentRead,
  findPositions,
  type ReadOptions,
  readCounted,
} from './consistent-read.ts'

/** The rows to read: a page, or (as a page of one) the key with a hash. */
export type KeysRequest = PageRequest & { tokenHash: string | null }

/**
 * Answers a read of token keys as `reflect` does. Only if keys with a quota period turn up, it
 * reads once more, with what they used since it began: that is in usage, which is folded less often
 * than counters and has to be waited for.
 */
export async function reflectKeys<Value>(
  options: ReadOptions,
  context: RequestContext,
  asOf: AsOf,
  request: KeysRequest,
  toValue: (page: Page<Key>) => Value | null,
): Promise<Value> {
  const past = await findPositions(options, context, asOf)
  return answerRead(past, async () => {
    const scope = { kind: 'key', account: request.tokenHash } as const
    const found = await readCounted(options, context, { ...asOf, past }, scope, (...from) =>
      readWithoutPeriods(...from, request),
    )
    const { value, positions } =
      found.value === 'periods'
        ? await readUsed(options, context, asOf, past, request)
        : { ...found, value: found.value }
    return { value: toValue(value), positions }
  })
}

/** Reads a page, unless it depends on a key that has a period. */
async function readWithoutPeriods(
  transaction: Transaction,
  source: Source,
  request: KeysRequest,
): Promise<Page<Key> | 'periods'> {
  const isSorted = /^-?quota_used$/.test(request.sort)
  if (isSorted && (await hasPeriods(transaction, source, request))) return 'periods'
  const page = await readKeys(transaction, source, request, null)
  const hasPeriod = ({ quota_period = 'none' }: Key) => quota_period !== 'none'
  return page.items.some(hasPeriod) ? 'periods' : page
}

/** Reads a page with what keys with a period used since it began. */
async function readUsed(
  options: ReadOptions,
  context: RequestContext,
  asOf: AsOf,
  past: Positions | null,
  request: KeysRequest,
): Promise<Reflected<Page<Key>>> {
  const { history } = options
  const awaited: AwaitedGroup[] = asOf.consistency === 'eventual' ? [] : ['usage', 'current']
  const nowMs = past === null ? 0 : await momentOf(history, asOf, past)
  const scope = { kind: 'key', account: request.tokenHash } as const
  const read = async (transaction: Transaction, source: Source, state: QuotaState) => {
    const periods = await readPeriods(transaction, source, request, state)
    return readKeys(transaction, source, request, periods)
  }
  return consistentRead(options, context, { past, awaited }, (sql) =>
    readNow(
      sql,
      (transaction, live) =>
        past === null
          ? read(transaction, live, 'now')
          : history.read(transaction, past, scope, (_, source) =>
              history.readQuarters(transaction, past, scope, (_, quarters) =>
                read(transaction, source, { nowMs, positions: past, quarters }),
              ),
            ),
      [...CURRENT, usage],
    ),
  )
}

/** Returns the time as of which a read of the past asks (milliseconds since 1970). */
async function momentOf(history: AsOfQueries, { as_of }: AsOf, past: Positions): Promise<number> {
  const moment = as_of === undefined ? await history.momentOf(past) : toMoment(as_of)
  return moment === null ? Date.now() : Date.parse(moment)
}
