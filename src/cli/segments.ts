import { parseArgs } from 'node:util'
import { connectAsOwner, openPools, type Pools } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import { parseVerifierKey, type VerifierKey } from '../proofs/merkle/key.ts'
import { readSigner } from '../proofs/transparency/origin.ts'
import { readPublished } from '../proofs/transparency/published.ts'
import { archiveAll, archiveSegments } from '../retention/archive.ts'
import { BUSY } from '../retention/archiver.ts'
import { type ListedSegment, readSegments } from '../retention/list.ts'
import { readArchived } from '../retention/registry.ts'
import { restoreSegment } from '../retention/restore.ts'
import { type ArchiveReport, verifyArchive, verifyRecorded } from '../retention/verify.ts'
import { openStore } from '../segment-files/open-store.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import { type Config, readConfig } from '../service/config.ts'
import { openDatabase } from './database.ts'
import { explainFailure } from './failure.ts'
import { untilInterrupted } from './interrupt.ts'
import { lowerPriority } from './priority.ts'
import { Progress } from './progress.ts'
import { formatTable } from './table.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = `Usage: tallybook segments [list] [--json]
       tallybook segments archive [--wait] [--json]
       tallybook segments restore <shard>/<first position>
       tallybook segments verify [--archive <url>] [--key <verifier key>] ... [--json]
  archive   move each segment on by its next step: to TALLYBOOK_ARCHIVE_URL, and out of the
            database if it is older than TALLYBOOK_KEEP_DAYS. A running service does so by itself
            (exit code 3: another process does so now); with --wait, continue until those that
            have been old enough have left, five minutes later
  restore   bring a segment back into the database
  verify    check every file of the archive; with --archive, without the database`

/** Exit codes besides 0 and BUSY: problems found, or something not done; not checked. */
const EXIT = { problems: 1, failed: 2 }

/** Segments per read. */
const PAGE = 1_000

/** Lists the segments of the log, and moves them to the archive and back. */
export async function segments(args: string[]): Promise<void> {
  const { action, target, isJson, isWaiting, archive, keys } = readArguments(args)
  const signal = untilInterrupted()
  const config = readConfig(process.env)
  if (action === 'verify' && archive !== undefined) {
    return finish(await check(openStore(archive), null), isJson)
  }
  await withDatabase(config, async (pools, address) => {
    if (action === 'list') return list(pools, isJson)
    const store = storeOf(config)
    if (action === 'restore') return restore(pools, address, store, target!)
    if (action === 'verify') return finish(await check(store, pools), isJson)
    return archiveNow(pools, address)
  })

  async function check(store: SegmentStore, pools: Pools | null): Promise<ArchiveReport> {
    lowerPriority()
    const progress = new Progress('verify')
    const onProgress = (done: number, total: number) => progress.update(done, total)
    const options = { store, keys, signal, onProgress }
    try {
      return await (pools === null ? verifyArchive(options) : verifyRecorded(pools.read, options))
    } finally {
      progress.end()
    }
  }

  async function archiveNow(pools: Pools, address: Parameters<typeof connectAsOwner>[0]) {
    lowerPriority()
    const signer = await readSigner(config.dataDir, config.logKeys)
    const options = {
      ...{ address, sql: pools.project, store: storeOf(config), signal },
      keepDays: config.archive.keepDays,
      heads: signer === null ? null : await readPublished(pools.read, signer),
      onStep: (step: string) => console.error(step),
    }
    const run = await (isWaiting ? archiveAll(options) : archiveSegments(options))
    if (run === null) {
      throw new UserError('Another process archives segments.', { exitCode: BUSY })
    }
    for (const problem of run.problems) console.error(problem)
    if (isJson) console.log(JSON.stringify(run))
    else console.log(`${run.written} written, ${run.marked} leaving, ${run.left} left`)
    if (run.problems.length > 0) process.exitCode = EXIT.problems
  }

  async function restore(
    pools: Pools,
    address: Parameters<typeof connectAsOwner>[0],
    store: SegmentStore,
    place: { shard: number; first: number },
  ) {
    lowerPriority()
    const archived = await readArchived(pools.read)
    const found = archived.find(
      ({ shard, first }) => shard === place.shard && first === place.first,
    )
    if (found?.leavingAt == null) {
      throw new UserError(`The database has segment ${place.shard}/${place.first}.`)
    }
    const owner = connectAsOwner(address)
    try {
      const restored = await restoreSegment(owner, store, found, signal)
      if (restored.kind === 'failed') {
        throw new UserError(`Nothing was restored: ${restored.failure.reason}.`)
      }
    } finally {
      await owner.end({ timeout: 5 })
    }
    console.log(`Restored events ${found.shard}/${found.first} to ${found.end - 1}`)
  }
}

type Arguments = {
  action: 'list' | 'archive' | 'restore' | 'verify'
  /** The segment to restore. */
  target: { shard: number; first: number } | null
  isJson: boolean
  isWaiting: boolean
  archive: string | undefined
  keys: VerifierKey[]
}

function readArguments(args: string[]): Arguments {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        wait: { type: 'boolean', default: false },
        archive: { type: 'string' },
        key: { type: 'string', multiple: true, default: [] },
      },
    })
    const [action = 'list', place, ...rest] = positionals
    const match = /^(\d{1,4})\/(\d{1,16})$/.exec(place ?? '')
    const target = match && { shard: Number(match[1]), first: Number(match[2]) }
    const isKnown = ['list', 'archive', 'restore', 'verify'].includes(action)
    const isPlain = action === 'restore' ? target !== null : place === undefined
    const hasChecks = values.archive !== undefined || values.key.length > 0
    const isMisplaced = (hasChecks && action !== 'verify') || (values.wait && action !== 'archive')
    if (!isKnown || !isPlain || rest.length > 0 || isMisplaced) {
      throw new UserError(USAGE, { exitCode: EXIT.failed })
    }
    const keys = values.key.map(readKey)
    return {
      ...{ action: action as Arguments['action'], target, isJson: values.json },
      isWaiting: values.wait,
      ...{ archive: values.archive, keys },
    }
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(USAGE, { exitCode: EXIT.failed })
  }
}

function readKey(text: string): VerifierKey {
  const key = parseVerifierKey(text)
  if (key === null) throw new UserError(`${text} is not a verifier key.`, { exitCode: EXIT.failed })
  return key
}

function storeOf({ archive: { url } }: Config): SegmentStore {
  if (url === null) throw new UserError('TALLYBOOK_ARCHIVE_URL is not set: there is no archive.')
  return openStore(url)
}

async function withDatabase(
  config: Config,
  work: (pools: Pools, address: Parameters<typeof connectAsOwner>[0]) => Promise<void>,
): Promise<void> {
  const database = await openDatabase(config, (message) => console.error(message))
  const pools = openPools(database.address, 1)
  try {
    await work(pools, database.address)
  } catch (error) {
    throw explainFailure(error, 'The segments could not be processed')
  } finally {
    await pools.close()
    await database.close()
  }
}

async function list({ read }: Pools, isJson: boolean): Promise<void> {
  const all: ListedSegment[] = []
  for (let after: { shard: number; first: number } | null = null; ; ) {
    const page: ListedSegment[] = await readSegments(read, { limit: PAGE, after })
    all.push(...page)
    if (page.length < PAGE) break
    const { shard, first_position: first } = page.at(-1)!
    after = { shard, first }
  }
  if (isJson) return console.log(JSON.stringify(all))
  const rows = all.map((segment) => [
    `${segment.shard}/${segment.first_position}`,
    segment.end_position - segment.first_position,
    segment.state,
    formatBytes(segment.database_bytes),
    segment.file_bytes === null ? '' : formatBytes(segment.file_bytes),
    segment.last_recorded_at?.slice(0, 19) ?? '',
  ])
  const header = ['segment', 'positions', 'state', 'database', 'file', 'newest event']
  for (const line of formatTable(header, rows)) console.log(line)
}

const formatBytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`

function finish({ segments: count, events, problems }: ArchiveReport, isJson: boolean): void {
  if (isJson) console.log(JSON.stringify({ segments: count, events, problems }))
  else {
    for (const problem of problems) console.log(problem)
    const verdict = problems.length === 0 ? 'No problems' : `${problems.length} problems`
    console.log(`${count} segments with ${events.toLocaleString('en-US')} events. ${verdict}`)
  }
  if (problems.length > 0) process.exitCode = EXIT.problems
}
