import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { INTERVALS } from '../../src/platform/intervals.ts'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { integrateEvents } from '../../src/proofs/transparency/integrate.ts'
import { leaveSegment, markLeaving } from '../../src/retention/leave.ts'
import type { ArchiveOptions } from '../../src/retention/open.ts'
import { CACHE_BYTES } from '../../src/segment-files/cache.ts'
import { packShard } from '../../src/segments/packing.ts'
import { type Child, runChild, startChild } from '../child.ts'
import type { RebuildRun } from '../readers/rebuild.ts'
import { type Flushing, type Latency, startFlushing } from '../retention/flushing.ts'
import { FLUSHES_PER_SECOND, writeHistory } from '../retention/history.ts'
import { choosePaths, type PageLatency, type Paths, timePages } from '../retention/reads.ts'
import { readSizes, type Sizes } from '../retention/sizes.ts'
import type { Written } from '../retention/write-segments.ts'
import { readResidentMb } from '../scale/processes.ts'
import type { Address, BenchServer } from '../server.ts'
import { readUntilFolded, readUntilSnapshots } from './reads.ts'

/** A database and its service, before or after the full segments have left. */
export type Stage = {
  sizes: Sizes
  /** Flushes at the fixed rate, while nothing else is done. */
  append: Latency
  pages: PageLatency[]
  /** Resident memory of the service after the reads. */
  serviceMb: number
  rebuild: RebuildRun
}

/** The exchange of one segment, and the longest of the flushes that were posted meanwhile. */
export type Exchange = { seconds: number; longestFlushMs: number; attempts: number }

export type Retention = {
  /** Flushes of the history, the number of a year, and how many have left. */
  flushes: number
  yearFlushes: number
  leftFlushes: number
  segments: number
  snapshots: number
  flushesPerSecond: number
  packSeconds: number
  before: Stage
  /** Writing of all full segments, one after the other, and flushes meanwhile. */
  written: { seconds: number; megabytes: number; append: Latency }
  exchanges: Exchange[]
  after: Stage
}

/** `share`: of a year of the gateway. `appendSeconds`: how long appends are timed. */
export type RetentionOptions = {
  share: number
  flushesPerSecond: number
  appendSeconds: number
  readsPerPage: number
}

const YEAR_FLUSHES = 365 * 86_400 * FLUSHES_PER_SECOND

/** Milliseconds between attempts to exchange a segment, and flushes posted after one. */
const PAUSE_MS = 500

/** Measures the database, its reads and a rebuild before and after old segments have left. */
export async function measureRetention(
  server: BenchServer,
  options: RetentionOptions,
): Promise<Retention> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-bench-retention-'))
  try {
    const address = await server.createDatabase('retention')
    const found = await measureIn(address, folder, options)
    await server.dropDatabase('retention')
    return found
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

type Place = {
  address: Address
  folder: string
  archive: ArchiveOptions
  options: RetentionOptions
}

async function measureIn(
  address: Address,
  folder: string,
  options: RetentionOptions,
): Promise<Retention> {
  const flushes = Math.round(YEAR_FLUSHES * options.share)
  await mkdir(join(folder, 'archive'))
  const archive = {
    ...{ url: pathToFileURL(join(folder, 'archive')).href, keepDays: null },
    ...{ cacheFolder: join(folder, 'cache'), cacheBytes: CACHE_BYTES },
  }
  const place: Place = { address, folder, archive, options }
  await writeHistory(address, flushes)
  note(`${flushes} flushes written`)
  const packSeconds = await pack(address)
  note('keys packed, leaves in the tree')
  const full = await readFullEnd(address)
  const paths = choosePaths(options.readsPerPage, full)
  const before = await measureStage(place, paths)
  const { written, exchanges } = await archiveSegments(place)
  const after = await measureStage(place, paths)
  return {
    ...{ flushes, yearFlushes: YEAR_FLUSHES, leftFlushes: full - 1 },
    ...{ segments: exchanges.length, snapshots: await countSnapshots(address) },
    ...{ flushesPerSecond: options.flushesPerSecond, packSeconds, before },
    ...{ written, exchanges, after },
  }
}

/** Does what the service does in the background with each segment. Returns the seconds of packing. */
async function pack(address: Address): Promise<number> {
  const owner = connectAsOwner(address)
  const started = performance.now()
  await packShard(owner, address, 0)
  const seconds = (performance.now() - started) / 1_000
  while ((await integrateEvents(owner, 0)) > 0);
  await owner.end({ timeout: 1 })
  return seconds
}

/** Returns the position behind the last full segment. */
async function readFullEnd(address: Address): Promise<number> {
  const owner = connectAsOwner(address)
  const [row] = await owner<{ end: number }[]>`
    select max(g.end_position)::integer as end
    from segments g
    where g.shard = 0 and g.end_position <= (select max(e.position) from events e)`
  await owner.end({ timeout: 1 })
  return row!.end
}

async function countSnapshots(address: Address): Promise<number> {
  const owner = connectAsOwner(address)
  const [row] = await owner<{ count: number }[]>`
    select count(distinct s.position)::integer as count
    from api_key_snapshots s
      join projections p on p.projection = 'snapshots' and p.generation = s.generation`
  await owner.end({ timeout: 1 })
  return row!.count
}

async function measureStage(place: Place, paths: Paths): Promise<Stage> {
  const { address, archive, options } = place
  const child = await startFolded(place)
  const sizes = await settle(address)
  const pages = await timePages(child.url, paths)
  const serviceMb = await readResidentMb(child.pid)
  const flushing = startFlushing(child.url, options.flushesPerSecond)
  await Bun.sleep(options.appendSeconds * 1_000)
  const append = await flushing.take()
  await flushing.stop()
  await child.stop()
  note('reads and appends timed')
  const args = [JSON.stringify(address), JSON.stringify(archive)]
  const rebuild = await runChild<RebuildRun>('readers/rebuild.ts', args)
  note(`rebuilt in ${rebuild.seconds} s`)
  return { sizes, append, pages, serviceMb, rebuild }
}

/** Starts a service and waits until it has folded the log. Its cache of the archive is empty. */
async function startFolded({ address, folder, archive }: Place): Promise<Child> {
  await rm(archive.cacheFolder, { recursive: true, force: true })
  const options = { dataDir: folder, archive }
  const args = ['tallybook', JSON.stringify(address), JSON.stringify(options)]
  const child = await startChild('peers/serve.ts', args)
  await readUntilFolded(child.url)
  await readUntilSnapshots(child.url)
  note('folded')
  return child
}

/** Frees what was deleted, writes dirty pages, and returns the sizes. */
async function settle(address: Address): Promise<Sizes> {
  const owner = connectAsOwner(address)
  await owner`vacuum analyze`
  await owner`checkpoint`
  await owner.end({ timeout: 1 })
  return readSizes(address)
}

async function archiveSegments(place: Place) {
  const { address, archive, options } = place
  const child = await startFolded(place)
  const flushing = startFlushing(child.url, options.flushesPerSecond)
  try {
    const args = [JSON.stringify(address), archive.url!]
    const { firsts, ...written } = await runChild<Written>('retention/write-segments.ts', args)
    const append = await flushing.take()
    note(`segments written in ${written.seconds} s`)
    const owner = connectAsOwner(address)
    const exchanges: Exchange[] = []
    for (const first of firsts) await markLeaving(owner, 0, first)
    // By then the service reads them from the archive, whatever it knew before.
    await Bun.sleep(4 * INTERVALS.archive.refreshMs)
    for (const first of firsts) {
      exchanges.push(await exchange(first, flushing, () => leaveSegment(owner, 0, first, 0)))
    }
    await owner.end({ timeout: 1 })
    note('segments have left')
    return { written: { ...written, append }, exchanges }
  } finally {
    await flushing.stop()
    await child.stop()
  }
}

/** Tries until a segment has left; `longestFlushMs` is of all flushes meanwhile and just after. */
async function exchange(
  first: number,
  flushing: Flushing,
  leave: () => Promise<boolean>,
): Promise<Exchange> {
  await Bun.sleep(PAUSE_MS)
  await flushing.take()
  for (let attempts = 1; attempts <= 100; attempts++) {
    const started = performance.now()
    const hasLeft = await leave()
    const seconds = (performance.now() - started) / 1_000
    await Bun.sleep(PAUSE_MS)
    if (!hasLeft) continue
    const { longestMs } = await flushing.take()
    return { seconds, longestFlushMs: longestMs, attempts }
  }
  throw new Error(`the segment from ${first} on can't leave`)
}

const note = (text: string) =>
  console.error(`retention: ${text}, ${Math.round(performance.now() / 1_000)} s since the start`)
