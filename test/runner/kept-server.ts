import { mkdir, readFile, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { isRunning } from '../support/running.ts'
import { CACHE } from './cache.ts'
import type { TestServer } from './server.ts'

const STATE = join(CACHE, 'server.json')
const LOG = join(CACHE, 'server.log')
const KEEPER = join(import.meta.dir, 'keep.ts')

/** Milliseconds that the first start of a server may take. */
const START_MS = 60_000
/** Milliseconds between two signs to the keeper that its server is in use. */
const TOUCH_INTERVAL_MS = 60_000

type State = { pid: number } & Pick<TestServer, 'address' | 'folder'>

/** The kept server of this checkout, started if there is none. `stop` leaves it running. */
export async function useKeptServer(): Promise<TestServer> {
  const { address, folder } = (await findKept()) ?? (await startKept())
  const touch = () => utimes(STATE, new Date(), new Date()).catch(() => {})
  await touch()
  const timer = setInterval(touch, TOUCH_INTERVAL_MS)
  await dropLeftDatabases({ address })
  return {
    address,
    folder,
    stop: async () => {
      clearInterval(timer)
      await touch()
    },
  }
}

/** null if there is none, or none that answers. */
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
  // Through a shell that ends at once: it is nobody's child, and outlives this run.
  const script = 'nohup "$0" "$1" "$2" >"$3" 2>&1 &'
  const stdio: ['ignore', 'ignore', 'ignore'] = ['ignore', 'ignore', 'ignore']
  await Bun.spawn(['sh', '-c', script, process.execPath, KEEPER, STATE, LOG], { stdio }).exited
  for (const end = performance.now() + START_MS; performance.now() < end; await Bun.sleep(50)) {
    const state = await findKept()
    if (state !== null) return state
  }
  throw new Error(`The test server did not start: ${await readFile(LOG, 'utf8').catch(() => '')}`)
}

/** Test processes that were killed leave their databases, named after their process ids. */
async function dropLeftDatabases({ address }: Pick<State, 'address'>): Promise<void> {
  const owner = connectAsOwner(address)
  const rows = await owner<{ name: string }[]>`
    select d.datname as name from pg_database d where d.datname like 'tallybook\\_test\\_%'`
  for (const { name } of rows) {
    const pid = Number(name.split('_')[2])
    if (!isRunning(pid)) await owner.unsafe(`drop database if exists ${name} with (force)`)
  }
  await owner.end()
}
