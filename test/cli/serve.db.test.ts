import { afterEach, beforeEach, expect, test } from 'bun:test'
import { makeDataDir, type Process, readUrl, runTallybook } from '../support/process.ts'
import { TOKENS } from '../support/service.ts'

let dataDir: Awaited<ReturnType<typeof makeDataDir>>
let started: Process[] = []

beforeEach(async () => {
  dataDir = await makeDataDir('migrated')
})
afterEach(async () => {
  for (const service of started) service.kill('SIGKILL')
  await Promise.all(started.map((service) => service.exited))
  started = []
  await dataDir.remove()
})

async function start(env: Record<string, string> = {}) {
  const service = runTallybook(['serve'], dataDir.path, env)
  started.push(service)
  return { service, url: await readUrl(service) }
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

test('what was acknowledged survives a kill -9, and the next start just works', async () => {
  const first = await start()
  await putKey(first.url)
  for (let i = 0; i < 3; i++) {
    const response = await request(`${first.url}/internal/apikey-stats/flush`, 'dp', FLUSH)
    expect(response.status).toBe(200)
  }
  first.service.kill('SIGKILL')
  await first.service.exited
  const second = await start()
  expect(await readTotal(second.url)).toBe(15)
})

test('SIGTERM and SIGINT finish what was accepted and end with 0', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { service, url } = await start()
    await putKey(url)
    const before = await readTotal(url)
    const answers = Array.from({ length: 50 }, () =>
      request(`${url}/internal/apikey-stats/flush`, 'dp', FLUSH)
        .then((response) => response.status)
        .catch(() => 0),
    )
    await Promise.race(answers)
    service.kill(signal)
    const statuses = await Promise.all(answers)
    expect(await service.exited).toBe(0)
    // What was answered with 200 is there; what was refused or cut off may be there or not.
    const acknowledged = statuses.filter((status) => status === 200).length
    expect(statuses.every((status) => [200, 503, 0].includes(status))).toBe(true)
    const next = await start()
    const counted = ((await readTotal(next.url)) - before) / 5
    expect(counted).toBeGreaterThanOrEqual(acknowledged)
    expect(counted).toBeLessThanOrEqual(50)
    next.service.kill('SIGTERM')
    await next.service.exited
  }
})

test('a second service on the data directory is refused with a sentence about the first', async () => {
  const { service } = await start()
  const second = runTallybook(['serve'], dataDir.path)
  started.push(second)
  expect(await second.exited).toBe(1)
  const sentence = await second.stderr.text()
  expect(sentence).toContain(`pid ${service.pid}`)
  expect(sentence).not.toContain('    at ')
})

test('an environment that can not be used is refused with a sentence a variable', async () => {
  const service = runTallybook(['serve'], dataDir.path, {
    TALLYBOOK_PORT: 'http',
    TALLYBOOK_SHARDS: '0',
    DATABASE_URL: 'mysql://localhost',
  })
  expect(await service.exited).toBe(1)
  const lines = (await service.stderr.text()).trim().split('\n')
  expect(lines.length).toBe(3)
  expect(lines[0]).toContain('TALLYBOOK_PORT')
})

test('another number of shards than the database has is refused with a sentence', async () => {
  const { service } = await start()
  service.kill('SIGTERM')
  await service.exited
  const second = runTallybook(['serve'], dataDir.path, { TALLYBOOK_SHARDS: '3' })
  expect(await second.exited).toBe(1)
  expect(await second.stderr.text()).toContain('start with TALLYBOOK_SHARDS=1')
})

test('generated tokens are shown once, kept with mode 0600, and valid after a restart', async () => {
  const env = { TALLYBOOK_ADMIN_TOKEN: '' }
  const first = await start(env)
  const path = `${dataDir.path}/tokens/admin`
  const token = (await Bun.file(path).text()).trim()
  expect((await Bun.file(path).stat()).mode & 0o777).toBe(0o600)
  first.service.kill('SIGTERM')
  await first.service.exited
  const second = await start(env)
  const response = await fetch(`${second.url}/admin/keys`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(response.status).toBe(200)
})

test('the demo fills a fresh service, and refuses one that is not', async () => {
  const { url } = await start()
  const demo = runTallybook(['demo', url], dataDir.path)
  expect(await demo.exited).toBe(0)
  expect(await readTotal(url)).toBeGreaterThan(100_000)
  const again = runTallybook(['demo', url], dataDir.path)
  expect(await again.exited).toBe(1)
  expect(await again.stderr.text()).toContain('nothing was sent')
})

test('tokens are made, listed and revoked by command', async () => {
  const { url } = await start()
  const env = { TALLYBOOK_PORT: new URL(url).port }
  const run = async (...args: string[]) => {
    const command = runTallybook(['token', ...args], dataDir.path, env)
    const [exitCode, stdout, stderr] = await Promise.all([
      command.exited,
      command.stdout.text(),
      command.stderr.text(),
    ])
    return { exitCode, text: stdout + stderr }
  }
  const made = await run('create', 'reader', 'auditor')
  expect(made.text).toMatch(/^tb_auditor_\S{32}\n$/)
  const summary = async () =>
    (
      await fetch(`${url}/admin/apikey-stats/summary`, {
        headers: { authorization: `Bearer ${made.text.trim()}` },
      })
    ).status
  expect(await summary()).toBe(200)
  expect((await run('list')).text).toMatch(/^reader +auditor +\S+ +live\n$/)
  const again = await run('create', 'reader', 'dp')
  expect(again.exitCode).toBe(1)
  expect(again.text).toContain('name taken')
  expect(await run('revoke', 'reader')).toEqual({ exitCode: 0, text: 'Revoked reader\n' })
  expect(await summary()).toBe(401)
  expect((await run('list')).text).toMatch(/^reader +auditor +\S+ +revoked \S+\n$/)
  const misused = await run('create', 'reader')
  expect(misused.exitCode).toBe(1)
  expect(misused.text).toContain('Usage: tallybook token')
})

test('no token is in what the service logs, answers, measures or documents', async () => {
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
      // What a client posts as a name is a name, whatever else it is.
      if (path !== '/admin/tokens') texts.push(await response.text())
    }
  }
  for (const path of ['/metrics', '/swagger', '/swagger/json', '/health/ready']) {
    texts.push(await (await fetch(url + path)).text())
  }
  service.kill('SIGTERM')
  expect(await service.exited).toBe(0)
  texts.push(await service.stderr.text())
  for (const secret of secrets) {
    for (const text of texts) expect(text).not.toContain(secret)
  }
})
