/**
 * Flushes per second of the whole service: HTTP, log, projector and the embedded PostgreSQL (fsync
 * and synchronous_commit on), with the load from a process of its own (wrk) on the same machine.
 * `bun run bench [connections] [seconds]`
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const TOKENS = { dp: 'bench-dp-token', admin: 'bench-admin-token', auditor: 'bench-auditor-token' }
const KEYS_PER_FLUSH = [1, 100, 1_000]
const API_KEYS = 10_000
const GROUPS = 10

type Load = { perSecond: number; errors: number; p50Ms: number; p99Ms: number }

async function main([connections = '64', seconds = '10']: string[]): Promise<void> {
  if (Bun.which('wrk') === null)
    throw new Error('The load comes from wrk (Debian: apt install wrk).')
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-bench-'))
  // As root the server runs as another user, who must be able to enter.
  await chmod(folder, 0o711)
  const service = startService(folder)
  try {
    const url = await findUrl(service.stdout)
    await putCatalog(url)
    console.log(
      `| keys a flush | flushes/s | counts/s | p50 ms | p99 ms | errors | lag s at the end |`,
    )
    console.log(`|---|---|---|---|---|---|---|`)
    for (const keys of KEYS_PER_FLUSH) {
      const load = await runLoad(url, keys, connections, seconds)
      const lag = await readLag(url)
      const { perSecond, errors, p50Ms, p99Ms } = load
      const counts = Math.round(perSecond * keys)
      console.log(
        `| ${keys} | ${Math.round(perSecond)} | ${counts} | ${p50Ms} | ${p99Ms} | ${errors} | ${lag} |`,
      )
    }
  } finally {
    service.kill('SIGTERM')
    await service.exited
    await rm(folder, { recursive: true, force: true })
  }
}

function startService(folder: string) {
  return Bun.spawn([process.execPath, '--no-orphans', join(import.meta.dir, '../src/main.ts')], {
    env: {
      ...process.env,
      DATABASE_URL: '',
      TALLYBOOK_DATA_DIR: folder,
      TALLYBOOK_PORT: '0',
      TALLYBOOK_DP_TOKEN: TOKENS.dp,
      TALLYBOOK_ADMIN_TOKEN: TOKENS.admin,
      TALLYBOOK_AUDITOR_TOKEN: TOKENS.auditor,
    },
    stdout: 'pipe',
    stderr: 'ignore',
  })
}

async function findUrl(output: ReadableStream<Uint8Array>): Promise<string> {
  let text = ''
  for await (const chunk of output) {
    text += new TextDecoder().decode(chunk)
    const url = /listens on (\S+)/.exec(text)?.[1]
    if (url) return url
  }
  throw new Error(`The service did not start: ${text}`)
}

async function putCatalog(url: string): Promise<void> {
  const groups = Array.from({ length: GROUPS }, (_, i) => ({ id: i + 1 }))
  const apiKeys = Array.from({ length: API_KEYS }, (_, i) => ({
    id: i + 1,
    group_id: 1 + (i % GROUPS),
  }))
  const response = await fetch(`${url}/admin/catalog`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify({ provider_groups: groups, api_keys: apiKeys }),
  })
  if (!response.ok) throw new Error(`catalog: ${response.status}`)
}

async function runLoad(
  url: string,
  keys: number,
  connections: string,
  seconds: string,
): Promise<Load> {
  const script = join(import.meta.dir, 'flush.lua')
  const target = `${url}/internal/apikey-stats/flush`
  const wrk = Bun.spawn(
    ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', script, target],
    { env: { ...process.env, KEYS: String(keys), TOKEN: TOKENS.dp }, stdout: 'pipe' },
  )
  const output = await wrk.stdout.text()
  return JSON.parse(/^\{.*\}$/m.exec(output)?.[0] ?? 'null') as Load
}

async function readLag(url: string): Promise<string> {
  const response = await fetch(`${url}/admin/projections`, {
    headers: { authorization: `Bearer ${TOKENS.admin}` },
  })
  const { items } = (await response.json()) as { items: { lag_seconds: number }[] }
  return Math.max(...items.map(({ lag_seconds }) => lag_seconds)).toFixed(2)
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
