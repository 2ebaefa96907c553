/**
 * Reads a whole log once in a separate process, and prints one line of JSON. `fold` does what a
 * rebuild does: it folds from the first event into empty counters. `bare` only reads the same rows.
 * `bun bench/readers/read-log.ts <fold|bare> <address as JSON>`
 */
import { existsSync, readFileSync } from 'node:fs'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { CURRENT } from '../../src/read-model/projections/index.ts'
import { readCheckpoints } from '../../src/read-model/projector/checkpoint.ts'
import { FoldBatch } from '../../src/read-model/projector/fold-batch.ts'
import type { Address } from '../server.ts'

/** Rows per page, as in the projector. */
const PAGE_ROWS = 5_000

/** Reading time (ms) after which a batch is written. */
const BATCH_MS = 2_000

/** Result of one reading. */
export type Reading = { seconds: number; events: number; peakMb: number }

async function fold({ project }: Pools): Promise<number> {
  let events = 0
  const { checkpoints } = await readCheckpoints(project, 0, CURRENT)
  for (let batch = new FoldBatch(0, CURRENT, checkpoints); ; batch = batch.next()) {
    const started = performance.now()
    await batch.readFromLog(project, {
      readEvents: PAGE_ROWS,
      isEnough: () => performance.now() - started >= BATCH_MS,
    })
    if (batch.events === 0) return events
    if (!(await batch.write(project))) throw new Error('another projector wrote')
    events += batch.events
  }
}

async function bare({ project }: Pools): Promise<number> {
  for (let after = -1; ; ) {
    const rows = await project<{ position: string; payload: string }[]>`
      select e.position, e.payload::text as payload
      from events e
      where e.shard = 0 and e.position > ${after}
      order by e.position
      limit ${PAGE_ROWS}`
    if (rows.length === 0) return after + 1
    after = Number(rows.at(-1)!.position)
  }
}

/** Linux counts into maxRSS what the parent had when it made this process; VmHWM is only ours. */
function readPeakMb(): number {
  if (!existsSync('/proc/self/status')) return process.resourceUsage().maxRSS / 1_024
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))!
  return Number(kilobytes) / 1_024
}

async function main([what = '', addressText = '']: string[]): Promise<void> {
  const pools = openPools(JSON.parse(addressText) as Address, 1)
  // Connects before the clock starts.
  await pools.project`select 1`
  const started = performance.now()
  const events = await (what === 'fold' ? fold(pools) : bare(pools))
  const seconds = (performance.now() - started) / 1_000
  const peakMb = readPeakMb()
  await pools.close()
  console.log(JSON.stringify({ seconds, events, peakMb } satisfies Reading))
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
