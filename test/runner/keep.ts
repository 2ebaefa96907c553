/**
 * Keeps a server running for runs of named test files, so that they start at once. The first such
 * run starts it (see kept-server.ts) as `keep.ts <state file>`. It ends when no run has used it for
 * IDLE_MS, or when the state file is gone or belongs to another keeper.
 */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { startTestServer } from './server.ts'

/** Milliseconds without a touch of the state file after which no run uses the server. */
const IDLE_MS = 15 * 60_000
const POLL_INTERVAL_MS = 1_000

async function main(): Promise<void> {
  const state = process.argv[2]!
  const server = await startTestServer()
  await mkdir(dirname(state), { recursive: true })
  const { address, folder } = server
  const ownState = JSON.stringify({ pid: process.pid, address, folder })
  await writeFile(state, ownState)
  let stopped = false
  const stop = () => {
    stopped = true
  }
  process.on('SIGTERM', stop).on('SIGINT', stop).on('SIGHUP', stop)
  while (!stopped && (await isInUse(state, ownState))) await Bun.sleep(POLL_INTERVAL_MS)
  if ((await read(state)) === ownState) await rm(state, { force: true })
  await server.stop()
}

async function isInUse(state: string, ownState: string): Promise<boolean> {
  if ((await read(state)) !== ownState) return false
  const { mtimeMs } = await stat(state)
  return Date.now() - mtimeMs < IDLE_MS
}

const read = (path: string) => readFile(path, 'utf8').catch(() => '')

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
