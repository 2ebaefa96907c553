import type { Event } from '../../events/event.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { countApiKeys, countGroups, countKeys } from './count.ts'
import { KeySums } from './key-sums.ts'
import type { Fold, Place, Projection, WriteTarget } from './projection.ts'
import { Sums } from './sums.ts'
import {
  type Columns,
  gatherColumns,
  keySumColumns,
  sumColumns,
  unnestKeySums,
  unnestSums,
} from './unnest.ts'

/** Ids in one row: large enough to be packed well, small enough that one id is found cheaply. */
export const PAGE_IDS = 1_000

/**
 * All counters as they stood at some positions: a read of the past takes the newest snapshot before
 * it and folds the few events since. Each is made of the one before and what came after it, so its
 * checkpoint is the newest snapshot.
 *
 * Rejected: a version of each row whenever it changed. Written a row each, they cost ten times as
 * much as these pages, and so could only be a tenth as dense.
 */
export const snapshots: Projection = {
  name: 'snapshots',
  // Not raised when key_counters was: those made before keep the last accesses that were shown
  // then.
  version: 1,
  tables: [
    {
      name: 'api_key_snapshots',
      key: ['shard', 'position', 'first_id'],
      values: ['last_id', 'ids', 'requests', 'successes'],
      fillfactor: 100,
    },
    {
      name: 'provider_group_snapshots',
      key: ['shard', 'position', 'first_id'],
      values: ['last_id', 'ids', 'requests', 'successes'],
      fillfactor: 100,
    },
    {
      name: 'key_snapshots',
      key: ['shard', 'position', 'first_hash'],
      values: [
        ...['last_hash', 'token_hashes', 'requests', 'tokens', 'quota_used'],
        'last_accessed_at',
      ],
      fillfactor: 100,
    },
  ],
  createFold: () => new SnapshotFold(),
}

class SnapshotFold implements Fold {
  readonly #apiKeys = new Sums()
  readonly #groups = new Sums()
  readonly #keys = new KeySums()

  get size(): number {
    return this.#apiKeys.size + this.#groups.size + this.#keys.size
  }

  add(event: Event, { recordedAt }: Place): void {
    switch (event.type) {
      case 'ApiKeyStatsFlushed':
        countApiKeys(this.#apiKeys, event.flush)
        countGroups(this.#groups, event.flush)
        break
      case 'KeyStatsFlushed':
        countKeys(this.#keys, event.flush, recordedAt)
        break
      case 'CatalogChanged':
      case 'ProjectionAttested':
      case 'OriginChanged':
      case 'ShardsChanged':
        break
      default:
        event satisfies never
    }
  }

  *write(transaction: Transaction, target: WriteTarget) {
    const apiKeys = yield* gatherColumns(this.#apiKeys.slices(), sumColumns)
    yield writeSums(transaction, target, 'api_key_snapshots', apiKeys)
    const groups = yield* gatherColumns(this.#groups.slices(), sumColumns)
    yield writeSums(transaction, target, 'provider_group_snapshots', groups)
    const keys = yield* gatherColumns(this.#keys.slices(), keySumColumns)
    yield writeKeys(transaction, target, keys)
  }
}

// A first page without ids says that there is a snapshot, were it one of nothing. Not async: a
// query starts when it is waited for, so the checkpoint's move stays the first.
function writeSums(
  transaction: Transaction,
  { shard, generation, from, position }: WriteTarget,
  table: string,
  rows: Columns,
): Promise<unknown> {
  return transaction`
    insert into ${transaction(table)}
      (shard, generation, position, first_id, last_id, ids, requests, successes)
    select ${shard}::integer, ${generation}::integer, ${position}::bigint, 0, 0, '{}', '{}', '{}'
    union all
    select
      ${shard}, ${generation}, ${position}, min(n.id), max(n.id), array_agg(n.id order by n.id),
      array_agg(n.requests order by n.id), array_agg(n.successes order by n.id)
    from (
      select
        t.id, sum(t.requests) as requests, sum(t.successes) as successes,
        (row_number() over (order by t.id) - 1) / ${PAGE_IDS}::integer as page
      from (
        select u.id, u.requests, u.successes
        from ${transaction(table)} s
          cross join lateral unnest(s.ids, s.requests, s.successes) as u(id, requests, successes)
        where s.shard = ${shard} and s.generation = ${generation} and s.position = ${from}
        union all
        select f.id, f.requests, f.successes
        from ${unnestSums(transaction, rows)}
      ) t
      group by t.id
    ) n
    group by n.page`
}

function writeKeys(
  transaction: Transaction,
  { shard, generation, from, position }: WriteTarget,
  rows: Columns,
): Promise<unknown> {
  return transaction`
    insert into key_snapshots (
      shard, generation, position, first_hash, last_hash, token_hashes,
      requests, tokens, quota_used, last_accessed_at
    )
    select
      ${shard}::integer, ${generation}::integer, ${position}::bigint,
      '', '', '{}', '{}', '{}', '{}', '{}'
    union all
    select
      ${shard}, ${generation}, ${position}, min(n.token_hash), max(n.token_hash),
      array_agg(n.token_hash order by n.token_hash),
      array_agg(n.requests order by n.token_hash),
      array_agg(n.tokens order by n.token_hash),
      array_agg(n.quota_used order by n.token_hash),
      array_agg(n.last_accessed_at order by n.token_hash)
    from (
      select
        t.token_hash, sum(t.requests) as requests, sum(t.tokens) as tokens,
        sum(t.quota_used) as quota_used, max(t.last_accessed_at) as last_accessed_at,
        (row_number() over (order by t.token_hash) - 1) / ${PAGE_IDS}::integer as page
      from (
        select u.token_hash, u.requests, u.tokens, u.quota_used, u.last_accessed_at
        from key_snapshots s
          cross join lateral
            unnest(s.token_hashes, s.requests, s.tokens, s.quota_used, s.last_accessed_at)
            as u(token_hash, requests, tokens, quota_used, last_accessed_at)
        where s.shard = ${shard} and s.generation = ${generation} and s.position = ${from}
        union all
        select f.token_hash, f.requests, f.tokens, f.quota_used, f.last_accessed_at
        from ${unnestKeySums(transaction, rows)}
      ) t
      group by t.token_hash
    ) n
    group by n.page`
}
