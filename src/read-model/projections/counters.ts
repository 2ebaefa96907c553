import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { addToRow, listOf, toColumns, unnest, valuesOf } from './account-sql.ts'
import { createTotals } from './create-totals.ts'
import { measuresTableOf, writeMeasures } from './detail-rows.ts'
import { MeasureTotals } from './detail-totals.ts'
import type { Entry } from './entry.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'
import { cutRows } from './slices.ts'

/** The current totals of every account of a kind, and those of its measures. */
function countersOf(kind: AccountKind, version: number): Projection {
  const shape = ACCOUNTS[kind]
  const name = `${kind}_counters`
  return {
    name,
    version,
    tables: [
      { name, key: ['shard', shape.id], values: valuesOf(shape), fillfactor: 50 },
      measuresTableOf(kind),
    ],
    createFold: () => new CounterFold(kind, name),
  }
}

/** Counters of API keys. */
export const apiKeyCounters = countersOf('api_key', 1)
/** Counters of token keys. Version 2 caps an access at five minutes after its flush's time. */
export const keyCounters = countersOf('key', 2)
/** Counters of provider groups. */
export const providerGroupCounters = countersOf('provider_group', 1)

class CounterFold implements Fold {
  readonly #totals
  readonly #measures = new MeasureTotals()

  constructor(
    private readonly kind: AccountKind,
    private readonly table: string,
  ) {
    this.#totals = createTotals(kind)
  }

  get size(): number {
    return this.#totals.size + this.#measures.size
  }

  add({ postings }: Entry): void {
    for (const some of postings) {
      if (some.kind !== this.kind) continue
      this.#totals.add(some)
      this.#measures.add(some)
    }
  }

  *write(transaction: Transaction, target: WriteTarget) {
    const { shard, generation } = target
    const { shape } = this.#totals
    const values = valuesOf(shape)
    const id = transaction(shape.id)
    for (const totals of this.#totals.slices()) {
      yield transaction`
        insert into ${transaction(this.table)} as c
          (shard, generation, ${id}, ${listOf(transaction, values)})
        select s.shard, ${generation}, f.account, ${listOf(transaction, values, 'f')}
        from shards s
          cross join ${unnest(transaction, toColumns(shape, totals))}
        where s.shard = ${shard}
        on conflict (shard, generation, ${id}) do update set ${addToRow(transaction, shape, 'c')}`
    }
    for (const rows of cutRows(this.#measures.entries())) {
      yield writeMeasures(transaction, target, this.kind, rows)
    }
  }
}
