/**
 * Keeps a server for runs of named test files, so that they answer at once. Started by the first of
 * them (see kept-server.ts) as `keep.ts <state file>`; ends when no run has used it for a while, or
 * when the state file is of another one.
 */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { startTestServer } from './server.ts'

/** Milliseconds: runs touch the state file more often than that. */
const IDLE_MS = 15 * 60_000
const POLL_INTERVAL_MS = 1_000

async function main(): Promise<void> {
  const state = process.argv[2]!
  const server = await startTestServer()
  await mkdir(dirname(state), { recursive: true })
  const { address, folder } = server
  const mine = JSON.stringify({ pid: process.pid, address, folder })
  await writeFile(state, mine)
  let stopped = false
  const stop = () => {
    stopped = true
  }
  process.on('SIGTERM', stop).on('SIGINT', stop).on('SIGHUP', stop)
  while (!stopped && (await isWanted(state, mine))) await Bun.sleep(POLL_INTERVAL_MS)
  if ((await read(state)) === mine) await rm(state, { force: true })
  await server.stop()
}

async function isWanted(state: string, mine: string): Promise<boolean> {
  if ((await read(state)) !== mine) return false
  const { mtimeMs } = await stat(state)
  return Date.now() - mtimeMs < IDLE_MS
}

const read = (path: string) => readFile(path, 'utf8').catch(() => '')

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
