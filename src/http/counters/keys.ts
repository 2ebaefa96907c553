import type { Positions } from '../../events/positions.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { hasPeriods } from '../../quota/kinds.ts'
import { NOW, type QuotaState, readPeriods } from '../../quota/used.ts'
import { CURRENT } from '../../read-model/projections/index.ts'
import { usage } from '../../read-model/projections/usage.ts'
import type { AwaitedGroup } from '../../read-model/projector/projector.ts'
import type { AsOfQueries } from '../../read-model/queries/as-of.ts'
import { type Key, type PeriodReads, readKeys } from '../../read-model/queries/keys.ts'
import type { Page, PageRequest } from '../../read-model/queries/keyset-page.ts'
import { type Reflected, readNow } from '../../read-model/queries/live.ts'
import type { Source } from '../../read-model/queries/live-source.ts'
import { withMeasured } from '../../read-model/queries/measures.ts'
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
 * Answers a read of token keys as `reflect` does.
 */
export async function reflectKeys<Value>(
  options: ReadOptions,
  context: RequestContext,
  asOf: AsOf,
  request: KeysRequest,
  toValue: (page: Page<Key>) => Value | null,
): Promise<Value> {
  const past = await findPositions(options, context, asOf)
  const asked = { ...request, asOf, past }
  return answerRead(past, async () => {
    const { value, positions } = await readWithPeriods(options, context, asked, (...from) =>
      readPage(...from, request),
    )
    return { value: toValue(value), positions }
  })
}

/** Reads a page. Without `periods`, it must not depend on a key that has a period. */
async function readPage(
  transaction: Transaction,
  source: Source,
  periods: PeriodReads | null,
  request: KeysRequest,
): Promise<Page<Key> | 'periods'> {
  const isSorted = periods === null && /^-?quota_used$/.test(request.sort)
  if (isSorted && (await hasPeriods(transaction, source, request))) return 'periods'
  const reading = readKeys(transaction, source, request, periods)
  const page = await withMeasured(transaction, source, 'key', reading, (key) => key.token_hash)
  const hasPeriod = ({ quota_period = 'none' }: Key) => quota_period !== 'none'
  return periods === null && page.items.some(hasPeriod) ? 'periods' : page
}

/** Which keys to read, and the state: now, or as of the positions `past`. */
type Asked = { tokenHash: string | null; asOf: AsOf; past: Positions | null }

/**
 * Reads token keys. Only if `read` answers `periods`, because keys with a quota period have turned
 * up, it is called once more, with what they used since it began: that is in usage, which is folded
 * less often than counters and has to be waited for.
 */
export async function readWithPeriods<Value extends object>(
  options: ReadOptions,
  context: RequestContext,
  { tokenHash, asOf, past }: Asked,
  read: (
    transaction: Transaction,
    source: Source,
    periods: PeriodReads | null,
  ) => Promise<Value | 'periods'>,
): Promise<Reflected<Value>> {
  const scope = { kind: 'key', account: tokenHash } as const
  const found = await readCounted(options, context, { ...asOf, past }, scope, (...from) =>
    read(...from, null),
  )
  if (found.value !== 'periods') return { ...found, value: found.value }
  const { history } = options
  const awaited: AwaitedGroup[] = asOf.consistency === 'eventual' ? [] : ['usage', 'current']
  const nowMs = past === null ? null : await momentOf(history, asOf, past)
  const readUsed = async (transaction: Transaction, source: Source, state: QuotaState) => {
    const scope = { tokenHash }
    const periods = await readPeriods(transaction, source, history, { ...state, scope })
    return (await read(transaction, source, periods)) as Value
  }
  return consistentRead(options, context, { past, awaited }, (sql) =>
    readNow(
      sql,
      (transaction, live) =>
        past === null
          ? readUsed(transaction, live, NOW)
          : history.read(transaction, past, scope, (_, source) =>
              history.readQuarters(transaction, past, scope, (_, quarters) =>
                readUsed(transaction, source, { nowMs, past: { positions: past, quarters } }),
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
