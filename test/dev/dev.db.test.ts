import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ROOT } from '../runner/queue.ts'
import { makeDataDir } from '../support/process.ts'
import { isRunning } from '../support/running.ts'
import { until } from '../support/until.ts'

const dataDir = await makeDataDir('migrated')
const copy = join(dirname(dataDir.path), 'copy')
let dev: Bun.Subprocess<'ignore', 'pipe', 'pipe'> | null = null

// Uses a copy of the source: changing the source itself would trigger `bun run test --watch`.
beforeAll(async () => {
  await mkdir(join(copy, 'test'), { recursive: true })
  await Bun.$`cp -a src sql package.json ${copy}`.cwd(ROOT)
  await Bun.$`cp -a test/dev test/runner ${join(copy, 'test')}`.cwd(ROOT)
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
})
afterAll(async () => {
  dev?.kill('SIGKILL')
  await dev?.exited
  await dataDir.remove()
})

/** Collects the output of a process as it arrives. */
function collect(stream: ReadableStream<Uint8Array>): { text: string } {
  const printed = { text: '' }
  const decoder = new TextDecoder()
  void (async () => {
    for await (const chunk of stream) printed.text += decoder.decode(chunk, { stream: true })
  })()
  return printed
}

/** Lists the processes whose command line names the copy or the data directory. */
async function processes(): Promise<string[]> {
  const lines = (await Bun.$`ps -A -ww -o args=`.text()).split('\n')
  return lines.filter((line) => line.includes(dirname(dataDir.path)))
}

/** Runs a script of the copy on the data directory and returns what it prints. */
async function runScript(...command: string[]): Promise<string> {
  const script = Bun.spawn([process.execPath, '--no-orphans', ...command], {
    cwd: copy,
    env: { ...process.env, TALLYBOOK_DATA_DIR: dataDir.path },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = await Promise.all([script.stdout.text(), script.stderr.text()])
  if ((await script.exited) !== 0) throw new Error(`${command[0]}: ${stdout}${stderr}`)
  return stdout
}

const readPostmaster = async () =>
  Number((await Bun.file(join(dataDir.path, 'postgres/postmaster.pid')).text()).split('\n')[0])

test('dev serves seed data, restarts only the service on a change, and stops it all', async () => {
  dev = Bun.spawn([process.execPath, '--no-orphans', join(copy, 'test/dev/main.ts')], {
    cwd: '/',
    env: { ...process.env, TALLYBOOK_DATA_DIR: dataDir.path, TALLYBOOK_PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = collect(dev.stdout)
  collect(dev.stderr)
  const urls = () => [...printed.text.matchAll(/listens on (\S+)/g)].map(([, url]) => url!)
  const firstUrl = await until(() => urls()[0] ?? null)
  const token = /Token of admin: (\S+)/.exec(printed.text)?.[1]
  const readTotals = async (url: string) => {
    const headers = { authorization: `Bearer ${token}` }
    const response = await fetch(`${url}/admin/apikey-stats/summary`, { headers })
    return (await response.json()) as { total_requests: number }
  }
  const totals = await readTotals(firstUrl)
  expect(totals.total_requests).toBeGreaterThan(1_000_000)
  const postmaster = await readPostmaster()

  const source = Bun.file(join(copy, 'src/http/health.ts'))
  const text = await source.text()
  const changed = text.replace("({ status: 'live' })", "({ status: 'changed' })")
  expect(changed).not.toBe(text)
  await source.write('this is not TypeScript')
  await until(() => printed.text.includes('Waiting for a change.'))
  await source.write(changed)
  const secondUrl = await until(() => urls()[1] ?? null)
  expect(await (await fetch(`${secondUrl}/health/live`)).json()).toEqual({ status: 'changed' })
  expect(await readTotals(secondUrl)).toEqual(totals)
  expect(await readPostmaster()).toBe(postmaster)
  const sql = await runScript('test/dev/sql.ts', 'select count(*) as found from shards')
  expect(sql).toContain('found')

  // dev itself, the service and the database.
  expect((await processes()).length).toBeGreaterThanOrEqual(3)

  dev.kill('SIGINT')
  expect(await dev.exited).toBe(0)
  expect(isRunning(postmaster)).toBe(false)
  expect(await processes()).toEqual([])
})

test('an integrity check finds no problems in seed data', async () => {
  expect(await runScript('src/main.ts', 'verify')).toContain('No problems')
})
