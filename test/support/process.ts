import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type ClusterContent, copyCluster } from './cluster.ts'
import { TOKENS } from './service.ts'

export const MAIN = join(import.meta.dir, '../../src/main.ts')

export type DataDir = { path: string; remove(): Promise<void> }

/**
 * A data directory in a temporary folder, which the embedded server's user may enter: not there
 * yet, or with a cluster.
 */
export async function makeDataDir(cluster?: ClusterContent): Promise<DataDir> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-cli-'))
  await chmod(folder, 0o711)
  const path = join(folder, 'data')
  if (cluster) await copyCluster(path, cluster)
  return { path, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** `tallybook` with these arguments, as a process of its own on its embedded database. */
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

/** What a command said, wherever its data directory is: for snapshots. */
export const withoutPaths = (text: string, { path }: DataDir) =>
  text.replaceAll(dirname(path), '<folder>')

export type Process = ReturnType<typeof runTallybook>

/** The address that a started service prints. Throws with its errors where it ends instead. */
export async function readUrl(service: Process): Promise<string> {
  const reader = service.stdout.getReader()
  let text = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += new TextDecoder().decode(part.value)
    const url = /listens on (\S+)/.exec(text)?.[1]
    if (url) return url
  }
  throw new Error(`${text}${await service.stderr.text()}`)
}
