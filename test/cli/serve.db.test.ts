import { afterAll, beforeAll, expect, test } from 'bun:test'
import { outcomeOf } from '../support/archive.ts'
import { isFull } from '../support/full.ts'
import { makeDataDir, type Process, readUrl, runTallybook } from '../support/process.ts'
import { TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'

// The tests share a data directory, and a test may leave its service to the next one.

let dataDir: Awaited<ReturnType<typeof makeDataDir>>
let running: { service: Process; url: string } | null = null
const started: Process[] = []

beforeAll(async () => {
  dataDir = await makeDataDir('migrated')
})
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL')
  await Promise.all(started.map((child) => child.exited))
  await dataDir.remove()
})

function run(args: string[], env: Record<string, string> = {}): Process {
  const child = runTallybook(args, dataDir.path, env)
  started.push(child)
  return child
}

async function start(env: Record<string, string> = {}) {
  const service = run(['serve'], env)
  running = { service, url: await readUrl(service) }
  return running
}

/** Returns the running service, and starts one if there is none. */
const ensureService = async () => running ?? start()

async function stop(
  signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGKILL' = 'SIGTERM',
): Promise<void> {
  const service = running?.service
  running = null
  service?.kill(signal)
  const exitCode = await service?.exited
  if (service && signal !== 'SIGKILL') expect(exitCode).toBe(0)
}

const request = (url: string, role: keyof typeof TOKENS, body?: unknown) =>
  fetch(url, {
    headers: { authorization: `Bearer ${TOKENS[role]}` },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })

const FLUSH = { keys: [{ api_key_id: 1, requests: 5, success_requests: 4 }] }

async function putKey(url: string): Promise<void> {
  const response = await fetch(`${url}/admin/catalog`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: '{"provider_groups":[{"id":1}],"api_keys":[{"id":1,"group_id":1}]}',
  })
  expect(response.status).toBe(200)
}

const readTotal = async (url: string) => {
  const response = await request(`${url}/admin/apikey-stats/summary`, 'admin')
  return ((await response.json()) as { total_requests: number }).total_requests
}

test('the demo fills an empty service, and refuses any other', async () => {
  const { url } = await ensureService()
  const demo = run(['demo', url])
  if (isFull) {
    expect(await demo.exited).toBe(0)
    expect(await readTotal(url)).toBeGreaterThan(100_000)
    const status = await request(`${url}/admin/status`, 'admin')
    expect(await status.json()).toMatchObject({ sources: { silent: 0, missing_flushes: 0 } })
  } else {
    // All its flushes are alike, so the first few are enough in everyday runs.
    await until(async () => (await readTotal(url)) > 5_000)
    demo.kill('SIGKILL')
    await demo.exited
  }
  const again = await outcomeOf(run(['demo', url]))
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing was sent') })
})

test('commands create, list and revoke tokens', async () => {
  const { url } = await ensureService()
  const env = { TALLYBOOK_PORT: new URL(url).port }
  const runToken = async (...args: string[]) => {
    const { code, stdout, stderr } = await outcomeOf(run(['token', ...args], env))
    return { exitCode: code, text: stdout + stderr }
  }
  const made = await runToken('create', 'reader', 'auditor')
  expect(made.text).toMatch(/^tb_auditor_\S{32}\n$/)
  const summary = async () =>
    (
      await fetch(`${url}/admin/apikey-stats/summary`, {
        headers: { authorization: `Bearer ${made.text.trim()}` },
      })
    ).status
  expect(await summary()).toBe(200)
  expect((await runToken('list')).text).toMatch(/^reader +auditor +\S+ +live\n$/)
  const again = await runToken('create', 'reader', 'dp')
  expect(again.exitCode).toBe(1)
  expect(again.text).toContain('name taken')
  expect(await runToken('revoke', 'reader')).toEqual({ exitCode: 0, text: 'Revoked reader\n' })
  expect(await summary()).toBe(401)
  expect((await runToken('list')).text).toMatch(/^reader +auditor +\S+ +revoked \S+\n$/)
  const misused = await runToken('create', 'reader')
  expect(misused.exitCode).toBe(1)
  expect(misused.text).toContain('Usage: tallybook token')
})

test('a second service on the data directory is refused with the pid of the first', async () => {
  const { service } = await ensureService()
  const { code, stderr } = await outcomeOf(run(['serve']))
  expect(code).toBe(1)
  expect(stderr).toContain(`pid ${service.pid}`)
  expect(stderr).not.toContain('    at ')
})

test('acknowledged flushes survive kill -9, and the next start works', async () => {
  const { url } = await ensureService()
  await putKey(url)
  const before = await readTotal(url)
  for (let i = 0; i < 3; i++) {
    const response = await request(`${url}/internal/apikey-stats/flush`, 'dp', FLUSH)
    expect(response.status).toBe(200)
  }
  await stop('SIGKILL')
  const next = await start()
  expect(await readTotal(next.url)).toBe(before + 15)
})

test('a flush that the worker parses counts on the embedded database', async () => {
  const { url } = await ensureService()
  await putKey(url)
  const before = await readTotal(url)
  const keys = Array.from({ length: 10_000 }, () => FLUSH.keys[0])
  const response = await request(`${url}/internal/apikey-stats/flush`, 'dp', { keys })
  expect(response.status).toBe(200)
  expect(await readTotal(url)).toBe(before + 50_000)
})

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  'on %s the service keeps every acknowledged flush and exits with 0',
  async (signal) => {
    const { url } = await ensureService()
    await putKey(url)
    const before = await readTotal(url)
    const answers = Array.from({ length: 50 }, () =>
      request(`${url}/internal/apikey-stats/flush`, 'dp', FLUSH)
        .then((response) => response.status)
        .catch(() => 0),
    )
    await Promise.race(answers)
    await stop(signal)
    const statuses = await Promise.all(answers)
    // Flushes answered 200 are in the log; refused or interrupted ones may be there or not.
    const acknowledged = statuses.filter((status) => status === 200).length
    expect(statuses.every((status) => [200, 503, 0].includes(status))).toBe(true)
    const next = await start()
    const counted = ((await readTotal(next.url)) - before) / 5
    expect(counted).toBeGreaterThanOrEqual(acknowledged)
    expect(counted).toBeLessThanOrEqual(50)
  },
)

test('generated tokens are stored with mode 0600 and valid after a restart', async () => {
  await stop()
  const env = { TALLYBOOK_ADMIN_TOKEN: '' }
  await start(env)
  const path = `${dataDir.path}/tokens/admin`
  const token = (await Bun.file(path).text()).trim()
  expect((await Bun.file(path).stat()).mode & 0o777).toBe(0o600)
  await stop()
  const { url } = await start(env)
  const response = await fetch(`${url}/admin/keys`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(response.status).toBe(200)
  await stop()
})

test('no token appears in logs, responses, metrics or the API description', async () => {
  await stop()
  const { service, url } = await start({ TALLYBOOK_LOG_LEVEL: 'trace' })
  const secrets = [...Object.values(TOKENS), 'guessed-token-1']
  const texts: string[] = []
  for (const secret of secrets) {
    const headers = { authorization: `Bearer ${secret}` }
    for (const [method, path, body] of [
      ['GET', '/admin/apikey-stats/summary'],
      ['GET', `/admin/keys/${secret}?unknown=${secret}`],
      ['GET', '/admin/tokens'],
      ['POST', '/internal/apikey-stats/flush', `{"keys":"${secret}"}`],
      ['PUT', '/admin/catalog', `{"api_keys":[{"id":"${secret}"}]}`],
      ['POST', '/admin/tokens', `{"name":"${secret}","role":"dp"}`],
      ['GET', '/nowhere'],
    ] as const) {
      const init = body === undefined ? { method, headers } : { method, headers, body }
      const response = await fetch(url + path, init)
      expect(response.status).toBeLessThan(500)
      // A name that a client posts is echoed, even if it is a secret.
      if (path !== '/admin/tokens') texts.push(await response.text())
    }
  }
  for (const path of ['/metrics', '/swagger', '/swagger/json', '/health/ready']) {
    texts.push(await (await fetch(url + path)).text())
  }
  await stop()
  texts.push(await service.stderr.text())
  for (const secret of secrets) {
    for (const text of texts) expect(text).not.toContain(secret)
  }
})

test('an invalid environment is refused with one line per variable', async () => {
  const env = { TALLYBOOK_PORT: 'http', TALLYBOOK_SHARDS: '0', DATABASE_URL: 'mysql://localhost' }
  const { code, stderr } = await outcomeOf(run(['serve'], env))
  expect(code).toBe(1)
  const lines = stderr.trim().split('\n')
  expect(lines.length).toBe(3)
  expect(lines[0]).toContain('TALLYBOOK_PORT')
})

test('a number of shards that differs from the database is refused', async () => {
  await stop()
  const { code, stderr } = await outcomeOf(run(['serve'], { TALLYBOOK_SHARDS: '3' }))
  expect(code).toBe(1)
  expect(stderr).toContain('start with TALLYBOOK_SHARDS=1')
})
