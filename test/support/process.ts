import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type ClusterContent, copyCluster } from './cluster.ts'
import { TOKENS } from './service.ts'

/** The program: its source, or what a run of all tests has compiled from it. */
export const MAIN = process.env.TALLYBOOK_TEST_PROGRAM ?? join(import.meta.dir, '../../src/main.ts')

export type DataDir = { path: string; remove(): Promise<void> }

/**
 * Prepares a data directory in a temporary folder, which the embedded server's user may enter. The
 * directory itself doesn't exist yet, unless a cluster is copied into it.
 */
export async function makeDataDir(cluster?: ClusterContent): Promise<DataDir> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-cli-'))
  await chmod(folder, 0o711)
  const path = join(folder, 'data')
  if (cluster) await copyCluster(path, cluster)
  return { path, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** Starts `tallybook` with these arguments as a process, by default on its embedded database. */
export function runTallybook(
  args: string[],
  dataDir: string,
  env: Record<string, string> = {},
  input?: string,
) {
  return Bun.spawn([process.execPath, '--no-orphans', MAIN, ...args], {
    env: {
      PATH: process.env.PATH ?? '',
      TALLYBOOK_DATA_DIR: dataDir,
      TALLYBOOK_PORT: '0',
      TALLYBOOK_DP_TOKEN: TOKENS.dp,
      TALLYBOOK_ADMIN_TOKEN: TOKENS.admin,
      TALLYBOOK_AUDITOR_TOKEN: TOKENS.auditor,
      ...env,
    },
    ...(input === undefined ? {} : { stdin: new Blob([input]) }),
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

/** The output of a command without the path of its data directory, for snapshots. */
export const withoutPaths = (text: string, { path }: DataDir) =>
  text.replaceAll(dirname(path), '<folder>')

export type Process = ReturnType<typeof runTallybook>

/** Reads the URL that a service prints when it listens. Throws with its errors if it exits. */
export async function readUrl(service: Bun.ReadableSubprocess): Promise<string> {
  const reader = service.stdout.getReader()
  let text = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += new TextDecoder().decode(part.value)
    const url = /listens on (\S+)/.exec(text)?.[1]
    if (url) return url
  }
  throw new Error(`${text}${await service.stderr.text()}`)
}
