import type { Transaction } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import { type Counts, MAX_RECENT, type SourceChange } from './change.ts'
import { Epochs, type KnownEpoch } from './epochs.ts'

/** Adds changes to the tables. The caller holds the lock of the fold. */
export async function writeChanges(
  transaction: Transaction,
  changes: readonly SourceChange[],
): Promise<void> {
  if (changes.length === 0) return
  const numbered = changes.filter(({ sequences }) => sequences.length > 0)
  const epochs = await readEpochs(transaction, numbered)
  for (const { source, sequences } of numbered) {
    for (const { sequence, at } of sequences) epochs.get(source)!.add(sequence, at)
  }
  await writeSources(transaction, changes, epochs)
  await writeEpochs(transaction, epochs)
}

const countsOf = (kind: string, second: string, counts: Counts) => ({
  [`${kind}_flushes`]: counts.flushes,
  [`${kind}_requests`]: String(counts.requests),
  [`${kind}_${second}`]: String(counts.seconds),
})

async function writeSources(
  transaction: Transaction,
  changes: readonly SourceChange[],
  epochs: ReadonlyMap<string, Epochs>,
) {
  const rows = changes.map(({ source, apiKeys, keys, recent, isEnded }) => ({
    ...{ source, recent: recent.toReversed(), is_ended: isEnded },
    has_dropped: epochs.get(source)?.hasDropped ?? false,
    ...countsOf('api_key', 'successes', apiKeys),
    ...countsOf('key', 'tokens', keys),
  }))
  await transaction`
    insert into sources as s (
      source, api_key_flushes, api_key_requests, api_key_successes,
      key_flushes, key_requests, key_tokens, recent, is_ended, has_dropped
    )
    select
      f.source, f.api_key_flushes, f.api_key_requests, f.api_key_successes,
      f.key_flushes, f.key_requests, f.key_tokens, f.recent, f.is_ended, f.has_dropped
    from json_to_recordset(${JSON.stringify(rows)}::text::json) as f(
      source text, api_key_flushes bigint, api_key_requests numeric, api_key_successes numeric,
      key_flushes bigint, key_requests numeric, key_tokens numeric, recent timestamptz[],
      is_ended boolean, has_dropped boolean
    )
    on conflict (source) do update set
      api_key_flushes = s.api_key_flushes + excluded.api_key_flushes,
      api_key_requests = s.api_key_requests + excluded.api_key_requests,
      api_key_successes = s.api_key_successes + excluded.api_key_successes,
      key_flushes = s.key_flushes + excluded.key_flushes,
      key_requests = s.key_requests + excluded.key_requests,
      key_tokens = s.key_tokens + excluded.key_tokens,
      recent = array(
        select t.at
        from unnest(excluded.recent || s.recent) as t(at)
        order by t.at desc
        limit ${MAX_RECENT}
      ),
      -- Another shard may have been folded further.
      is_ended = case
        when excluded.recent[1] >= s.recent[1] then excluded.is_ended else s.is_ended
      end,
      has_dropped = s.has_dropped or excluded.has_dropped`
}

type EpochRow = {
  source: string
  epoch: string
  next: string
  missing: KnownEpoch['missing'] | null
  last_flush: string
  is_ended: boolean
}

/**
 * Reads the epochs of sources. Of those that do not change it does not read what is missing, which
 * may be much.
 */
async function readEpochs(transaction: Transaction, changes: readonly SourceChange[]) {
  const epochs = new Map(
    changes.map(({ source }) => [source, new Epochs(new Map<string, KnownEpoch>(), false)]),
  )
  if (changes.length === 0) return epochs
  const names = [...epochs.keys()]
  const changed = changes.flatMap(({ source, sequences }) =>
    [...new Set(sequences.map(({ sequence }) => sequence.epoch))].map((epoch) => [source, epoch]),
  )
  const dropping = await transaction<{ source: string }[]>`
    select s.source from sources s where s.has_dropped and s.source in ${transaction(names)}`
  for (const { source } of dropping) epochs.get(source)!.hasDropped = true
  const rows = await transaction<EpochRow[]>`
    select e.source, e.epoch, e.next, e.is_ended,
      ${transaction.unsafe(toMicroseconds('e.last_flush'))} as last_flush,
      case when f.epoch is not null then e.missing end as missing
    from source_epochs e
      left join (
        select c.pair ->> 0 as source, c.pair ->> 1 as epoch
        from json_array_elements(${JSON.stringify(changed)}::text::json) as c(pair)
      ) f on f.source = e.source and f.epoch = e.epoch
    where e.source in ${transaction(names)}`
  for (const { source, epoch, next, missing, last_flush, is_ended } of rows) {
    const known = { next: Number(next), missing: missing ?? [] }
    epochs.get(source)!.known.set(epoch, { ...known, lastFlush: last_flush, isEnded: is_ended })
  }
  return epochs
}

async function writeEpochs(transaction: Transaction, epochs: ReadonlyMap<string, Epochs>) {
  const sources = [...epochs]
  const dropped = sources.flatMap(([source, all]) =>
    [...all.dropped].map((epoch) => [source, epoch]),
  )
  const rows = sources.flatMap(([source, { known, changed }]) =>
    [...changed].map((epoch) => {
      const { next, missing, lastFlush, isEnded } = known.get(epoch)!
      return { source, epoch, next, missing, last_flush: lastFlush, is_ended: isEnded }
    }),
  )
  if (dropped.length > 0) {
    await transaction`
      delete from source_epochs e
      using json_array_elements(${JSON.stringify(dropped)}::text::json) as d(pair)
      where e.source = d.pair ->> 0 and e.epoch = d.pair ->> 1`
  }
  if (rows.length === 0) return
  await transaction`
    insert into source_epochs (source, epoch, next, missing, last_flush, is_ended)
    select f.source, f.epoch, f.next, f.missing, f.last_flush, f.is_ended
    from json_to_recordset(${JSON.stringify(rows)}::text::json) as f(
      source text, epoch text, next bigint, missing json, last_flush timestamptz, is_ended boolean
    )
    on conflict (source, epoch) do update set
      next = excluded.next,
      missing = excluded.missing,
      last_flush = excluded.last_flush,
      is_ended = excluded.is_ended`
}
