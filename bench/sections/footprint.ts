import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { startChild, startServer } from '../child.ts'
import { startHistory } from '../history.ts'
import { median } from '../measure.ts'
import type { BenchServer } from '../server.ts'
import { TOKENS } from '../workload.ts'

const ROOT = join(import.meta.dir, '../..')

/** Size of the log including its indexes, by keys per flush. */
export type LogSize = { keysPerFlush: number; events: number; bytesPerCount: number }

/** Size of a service whose catalog has `apiKeys` keys, all of them counted. */
export type ServiceSize = {
  apiKeys: number
  /** Resident memory after the start, and after folding flushes of all keys. */
  startedMb: number
  foldedMb: number
  /** Time from the start of the process, on a running database, until it listens. */
  startSeconds: number
}

export type Footprint = {
  log: LogSize[]
  service: ServiceSize[]
  /** Start time (s) of `serve` with its embedded database: a new one, and an existing one. */
  start: StartTimes
  executable?: Executable
}

/** The executable: its size and that of the archive of PostgreSQL, and its start times. */
export type Executable = { megabytes: number; archiveMegabytes: number; start: StartTimes }

type StartTimes = { first: number; second: number }

export type FootprintOptions = {
  /** Keys per flush, and flushes. */
  log: [number, number][]
  apiKeys: number[]
  rounds: number
}

export async function measureFootprint(
  server: BenchServer,
  { log, apiKeys, rounds }: FootprintOptions,
): Promise<Footprint> {
  const serve = [process.execPath, '--no-orphans', join(ROOT, 'src/main.ts')]
  const start = await measureStart(serve, rounds)
  const executable = await measureExecutable(rounds)
  const footprint: Footprint = { log: [], service: [], start, executable }
  for (const [keysPerFlush, events] of log) {
    footprint.log.push(await measureLog(server, keysPerFlush, events))
  }
  for (const keys of apiKeys) footprint.service.push(await measureService(server, keys, rounds))
  return footprint
}

async function measureLog(
  server: BenchServer,
  keysPerFlush: number,
  events: number,
): Promise<LogSize> {
  const name = `footprint_log_${keysPerFlush}`
  const address = await server.createDatabase(name)
  const history = await startHistory(address, { keysPerFlush })
  const owner = connectAsOwner(address)
  const readBytes = async () => {
    const [row] =
      await owner`select sum(pg_total_relation_size(t.relid)) as bytes from pg_partition_tree('events') t`
    return Number(row!.bytes)
  }
  // Excludes the event of the catalog.
  const before = await readBytes()
  await history.extendTo(events)
  const bytes = (await readBytes()) - before
  await owner.end()
  await history.close()
  await server.dropDatabase(name)
  console.error(`footprint: a log of ${events} flushes of ${keysPerFlush} keys`)
  return { keysPerFlush, events, bytesPerCount: bytes / (events * keysPerFlush) }
}

async function measureService(
  server: BenchServer,
  apiKeys: number,
  rounds: number,
): Promise<ServiceSize> {
  const name = `footprint_keys_${apiKeys}`
  const address = await server.createDatabase(name)
  const history = await startHistory(address, { keysPerFlush: 1_000, apiKeys })
  const started: { mb: number; seconds: number }[] = []
  let foldedMb = Number.NaN
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now()
    const child = await startChild('peers/serve.ts', ['tallybook', JSON.stringify(address)])
    const seconds = (performance.now() - begun) / 1_000
    started.push({ mb: await readResidentMb(child.pid), seconds })
    if (round === rounds - 1) {
      await history.extendTo(apiKeys / 100)
      await readSummary(child.url)
      foldedMb = await readResidentMb(child.pid)
    }
    await child.stop()
  }
  await history.close()
  await server.dropDatabase(name)
  console.error(`footprint: ${apiKeys} API keys`)
  return {
    apiKeys,
    startedMb: median(started.map(({ mb }) => mb)),
    foldedMb,
    startSeconds: median(started.map(({ seconds }) => seconds)),
  }
}

/** Waits until the summary reflects the log. */
async function readSummary(url: string): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/admin/apikey-stats/summary`, {
      headers: { authorization: `Bearer ${TOKENS.admin}` },
    })
    if (response.ok) return
    if (response.status !== 503) throw new Error(`summary: ${response.status}`)
  }
}

/** Reads the resident memory (MB) of a process. */
async function readResidentMb(pid: number): Promise<number> {
  const ps = Bun.spawn(['ps', '-o', 'rss=', '-p', String(pid)], { stdout: 'pipe' })
  return Number(await ps.stdout.text()) / 1_024
}

async function measureExecutable(rounds: number): Promise<Executable> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-executable-'))
  try {
    const build = [process.execPath, join(ROOT, 'deploy/build/main.ts'), '--output', folder]
    if (!Bun.spawnSync(build).success) throw new Error('The executable could not be built.')
    const [program, archive] = (await readdir(folder)).sort().map((name) => join(folder, name))
    return {
      megabytes: Bun.file(program!).size / 1e6,
      archiveMegabytes: Bun.file(archive!).size / 1e6,
      start: await measureStart([program!], rounds),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function measureStart(serve: string[], rounds: number): Promise<StartTimes> {
  const firsts: number[] = []
  const seconds: number[] = []
  for (let round = 0; round < rounds; round++) {
    const dataDir = await mkdtemp(join(tmpdir(), 'tallybook-start-'))
    firsts.push(await timeStart(serve, dataDir))
    seconds.push(await timeStart(serve, dataDir))
    await rm(dataDir, { recursive: true, force: true })
  }
  return { first: median(firsts), second: median(seconds) }
}

/** Measures the time (s) from the command to the line with the URL. */
async function timeStart(serve: string[], dataDir: string): Promise<number> {
  const begun = performance.now()
  const env = { TALLYBOOK_DATA_DIR: dataDir, TALLYBOOK_PORT: '0', TALLYBOOK_LOG_LEVEL: 'error' }
  const child = await startServer(serve, env)
  const seconds = (performance.now() - begun) / 1_000
  await child.stop()
  return seconds
}
