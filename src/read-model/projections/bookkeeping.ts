import type { Act, MovedReversals } from '../../events/act.ts'
import type { Postings } from '../../events/postings.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toArray, toTextArray } from './array.ts'
import type { Entry } from './entry.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'
import { cutRows } from './slices.ts'
import { UNKNOWN_TABLES, UnknownKeysFold } from './unknown-keys.ts'

/**
 * Which acts there are, what they reverse, which accounts opening balances name, and which quotas
 * were reset (only shard 0 has acts, so these rows have no shard), and what is not booked: entries
 * for unknown keys.
 */
export const bookkeeping: Projection = {
  name: 'bookkeeping',
  // 2: unknown keys. 3: quarter hours of acts, and resets of quotas. 4: parts of unknown keys.
  version: 4,
  tables: [
    {
      name: 'acts',
      key: ['position'],
      values: ['type', 'reason', 'reversed_shard', 'reversed_position', 'quarter'],
      fillfactor: null,
    },
    { name: 'openings', key: ['kind', 'account', 'position'], values: [], fillfactor: null },
    ...UNKNOWN_TABLES,
    {
      name: 'quota_resets',
      key: ['token_hash', 'position'],
      values: ['reset_at'],
      fillfactor: null,
    },
  ],
  createFold: () => new BookkeepingFold(),
}

type ActRow = { position: number; act: Act }
type Moved = MovedReversals['moved'][number]
type Opening = { kind: string; account: number | string; position: number }

class BookkeepingFold implements Fold {
  /** By position: an event may arrive in parts. */
  readonly #acts = new Map<number, ActRow>()
  readonly #openings: Opening[] = []
  /** Where earlier reversals now find what they reversed, by their positions. */
  readonly #moved: Moved[] = []
  readonly #unknown = new UnknownKeysFold()

  get size(): number {
    return this.#acts.size + this.#openings.length + this.#moved.length + this.#unknown.size
  }

  add(entry: Entry): void {
    this.#unknown.add(entry)
    const { act, postings, position } = entry
    if (act === null) return
    if (act.type === 'ShardsChanged') this.#moved.push(...act.moved)
    else this.#acts.set(position, { position, act })
    if (act.type === 'BalancesOpened') this.#open(postings, position)
  }

  *write(transaction: Transaction, target: WriteTarget) {
    yield* this.#unknown.write(transaction, target)
    const { shard, generation } = target
    // No append writes an act to another shard.
    if (shard !== 0) return
    for (const rows of cutRows(this.#acts.values())) yield writeActs(transaction, generation, rows)
    for (const rows of cutRows(this.#openings)) yield writeOpenings(transaction, generation, rows)
    const resets = [...this.#acts.values()].filter(isReset)
    for (const rows of cutRows(resets)) yield writeResets(transaction, generation, rows)
    // Statements run in order: the acts are there.
    for (const rows of cutRows(this.#moved)) yield moveReversals(transaction, generation, rows)
  }

  #open(postings: readonly Postings[], position: number): void {
    for (const { kind, accounts, start, end } of postings) {
      for (let i = start; i < end; i++) {
        this.#openings.push({ kind, account: (accounts as (number | string)[])[i]!, position })
      }
    }
  }
}

type ResetRow = { position: number; act: Act & { type: 'QuotaReset' } }

const isReset = (row: ActRow): row is ResetRow => row.act.type === 'QuotaReset'

function writeResets(
  transaction: Transaction,
  generation: number,
  rows: readonly ResetRow[],
): Promise<unknown> {
  return transaction`
    insert into quota_resets (generation, token_hash, position, reset_at)
    select ${generation}, f.token_hash, f.position, f.reset_at
    from unnest(
      ${toTextArray(rows, ({ act }) => act.token_hash)}::text[],
      ${toArray(rows, ({ position }) => position)}::bigint[],
      ${toTextArray(rows, ({ act }) => act.at)}::timestamptz[]
    ) as f(token_hash, position, reset_at)`
}

const reversedBy = ({ act }: ActRow) => (act.type === 'EventReversed' ? act : null)

function writeActs(
  transaction: Transaction,
  generation: number,
  rows: readonly ActRow[],
): Promise<unknown> {
  const reasons = toTextArray(rows, ({ act }) => ('reason' in act ? act.reason : null))
  const shards = toTextArray(rows, (row) => reversedBy(row)?.shard.toString() ?? null)
  const positions = toTextArray(rows, (row) => reversedBy(row)?.position.toString() ?? null)
  return transaction`
    insert into acts
      (generation, position, type, reason, reversed_shard, reversed_position, quarter)
    select ${generation}, f.position, f.type, f.reason, f.shard, f.reversed, f.quarter
    from unnest(
      ${toArray(rows, ({ position }) => position)}::bigint[],
      ${toTextArray(rows, ({ act }) => act.type)}::text[],
      ${reasons}::text[],
      ${shards}::integer[],
      ${positions}::bigint[],
      ${toTextArray(rows, ({ act }) => act.quarter)}::timestamptz[]
    ) as f(position, type, reason, shard, reversed, quarter)`
}

function writeOpenings(
  transaction: Transaction,
  generation: number,
  rows: readonly Opening[],
): Promise<unknown> {
  return transaction`
    insert into openings (generation, kind, account, position)
    select ${generation}, f.kind, f.account, f.position
    from unnest(
      ${toTextArray(rows, ({ kind }) => kind)}::text[],
      ${toTextArray(rows, ({ account }) => String(account))}::text[],
      ${toArray(rows, ({ position }) => position)}::bigint[]
    ) as f(kind, account, position)`
}

function moveReversals(
  transaction: Transaction,
  generation: number,
  rows: readonly Moved[],
): Promise<unknown> {
  return transaction`
    update acts a
    set reversed_shard = f.shard, reversed_position = f.reversed
    from unnest(
      ${toArray(rows, ([position]) => position)}::bigint[],
      ${toArray(rows, ([, { shard }]) => shard)}::integer[],
      ${toArray(rows, ([, { position }]) => position)}::bigint[]
    ) as f(position, shard, reversed)
    where a.generation = ${generation} and a.position = f.position`
}
