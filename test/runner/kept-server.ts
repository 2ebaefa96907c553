import { mkdir, readFile, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { isRunning } from '../support/running.ts'
import { CACHE } from './cache.ts'
import type { TestServer } from './server.ts'

const STATE = join(CACHE, 'server.json')
const LOG = join(CACHE, 'server.log')
const KEEPER = join(import.meta.dir, 'keep.ts')

/** Milliseconds that starting a server may take. */
const START_MS = 60_000
/** How often (ms) a run touches the state file, so that the keeper sees that its server is used. */
const TOUCH_INTERVAL_MS = 60_000

type State = { pid: number } & Pick<TestServer, 'address' | 'folder'>

/** Returns the kept server of this checkout and starts it if needed. `stop` leaves it running. */
export async function useKeptServer(): Promise<TestServer> {
  const { address, folder } = (await findKept()) ?? (await startKept())
  const touch = () => utimes(STATE, new Date(), new Date()).catch(() => {})
  await touch()
  const timer = setInterval(touch, TOUCH_INTERVAL_MS)
  await dropStaleDatabases({ address })
  return {
    address,
    folder,
    stop: async () => {
      clearInterval(timer)
      await touch()
    },
  }
}

/** Returns null if no server is kept or if it doesn't answer. */
async function findKept(): Promise<State | null> {
  try {
    const state = JSON.parse(await readFile(STATE, 'utf8')) as State
    process.kill(state.pid, 0)
    const owner = connectAsOwner(state.address)
    await owner`select`.finally(() => owner.end())
    return state
  } catch {
    return null
  }
}

async function startKept(): Promise<State> {
  await mkdir(CACHE, { recursive: true })
  // Started through a shell that exits at once, so that the keeper outlives this run.
  const script = 'nohup "$0" "$1" "$2" >"$3" 2>&1 &'
  const stdio: ['ignore', 'ignore', 'ignore'] = ['ignore', 'ignore', 'ignore']
  await Bun.spawn(['sh', '-c', script, process.execPath, KEEPER, STATE, LOG], { stdio }).exited
  for (const end = performance.now() + START_MS; performance.now() < end; await Bun.sleep(50)) {
    const state = await findKept()
    if (state !== null) return state
  }
  throw new Error(`The test server did not start: ${await readFile(LOG, 'utf8').catch(() => '')}`)
}

/** Drops the databases of killed test processes, which are named after their process ids. */
async function dropStaleDatabases({ address }: Pick<State, 'address'>): Promise<void> {
  const owner = connectAsOwner(address)
  const rows = await owner<{ name: string }[]>`
    select d.datname as name from pg_database d where d.datname like 'tallybook\\_test\\_%'`
  for (const { name } of rows) {
    const pid = Number(name.split('_')[2])
    if (!isRunning(pid)) await owner.unsafe(`drop database if exists ${name} with (force)`)
  }
  await owner.end()
}
