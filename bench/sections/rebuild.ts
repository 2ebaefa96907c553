import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { CURRENT } from '../../src/read-model/projections/index.ts'
import { runChild } from '../child.ts'
import { startHistory } from '../history.ts'
import { median } from '../measure.ts'
import type { Reading } from '../readers/read-log.ts'
import type { Address, BenchServer } from '../server.ts'

/** A whole log of `events` flushes, read once; seconds and MB are medians. */
export type RebuildRow = {
  events: number
  counts: number
  foldSeconds: number
  bareSeconds: number
  /** One statement over the payloads that sums API keys only; null if it was left out. */
  groupBySeconds: number | null
  /** Peak resident memory of the process that folds. */
  foldPeakMb: number
}

export type RebuildOptions = {
  keysPerFlush: number
  events: number[]
  rounds: number
  /** Maximum number of events for the GROUP BY, which would take minutes for more. */
  groupByEvents: number
}

/** Compares folding a log with reading it and with SQL, while the log grows. */
export async function measureRebuild(
  server: BenchServer,
  options: RebuildOptions,
): Promise<RebuildRow[]> {
  const { keysPerFlush, events: sizes, rounds, groupByEvents } = options
  const address = await server.createDatabase('rebuild')
  const history = await startHistory(address, { keysPerFlush })
  const rows: RebuildRow[] = []
  for (const events of sizes) {
    await history.extendTo(events)
    await settle(address)
    const folds: Reading[] = []
    const bares: Reading[] = []
    const groupBys: number[] = []
    for (let round = 0; round < rounds; round++) {
      bares.push(await readLog('bare', address))
      await forget(address)
      folds.push(await readLog('fold', address))
      if (events <= groupByEvents) groupBys.push(await groupBy(address))
    }
    rows.push({
      events,
      counts: events * keysPerFlush,
      foldSeconds: median(folds.map(({ seconds }) => seconds)),
      bareSeconds: median(bares.map(({ seconds }) => seconds)),
      groupBySeconds: groupBys.length === 0 ? null : median(groupBys),
      foldPeakMb: median(folds.map(({ peakMb }) => peakMb)),
    })
    console.error(`rebuild: ${events} events`)
  }
  await history.close()
  await server.dropDatabase('rebuild')
  return rows
}

const readLog = (what: 'bare' | 'fold', address: Address) =>
  runChild<Reading>('readers/read-log.ts', [what, JSON.stringify(address)])

/** Writes dirty pages to the disk and updates the statistics. */
async function settle(address: Address): Promise<void> {
  const owner = connectAsOwner(address)
  await owner`vacuum analyze events`
  await owner`checkpoint`
  await owner.end()
}

/** Resets the projections that are folded to before the first event. */
async function forget(address: Address): Promise<void> {
  const owner = connectAsOwner(address)
  const tables = CURRENT.flatMap((projection) => projection.tables.map(({ name }) => name))
  await owner`update checkpoints set position = -1`
  await owner.unsafe(`truncate ${tables.join(', ')}`)
  await owner.end()
}

/** Sums requests and failures of every API key with the shortest possible SQL. Returns seconds. */
async function groupBy(address: Address): Promise<number> {
  const owner = connectAsOwner(address)
  const started = performance.now()
  await owner`
    select n.id, sum(n.requests) as requests, sum(n.failures) as failures
    from (
      select i.id::bigint as id, i.requests::bigint as requests, 0 as failures
      from events e
        cross join lateral rows from (
          json_array_elements_text(e.payload -> 'ids'),
          json_array_elements_text(e.payload -> 'requests')
        ) as i(id, requests)
      where e.type = 'ApiKeyStatsFlushed'
      union all
      select (e.payload -> 'ids' ->> f.index::integer)::bigint, 0, f.failures::bigint
      from events e
        cross join lateral rows from (
          json_array_elements_text(e.payload -> 'failing'),
          json_array_elements_text(e.payload -> 'failures')
        ) as f(index, failures)
      where e.type = 'ApiKeyStatsFlushed'
    ) n
    group by n.id`
  const seconds = (performance.now() - started) / 1_000
  await owner.end()
  return seconds
}
