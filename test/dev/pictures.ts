/**
 * Takes the pictures of docs/guides/console.md: `bun run pictures`. They show the console of a new
 * service that the demo has filled, in Chromium. The service and its data are removed afterwards.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { ROLES, TOKEN_VARIABLES } from '../../src/auth/roles.ts'
import { UserError } from '../../src/platform/user-error.ts'
import { isInstalled, launchChromium } from '../console/chromium.ts'
import { ROOT } from '../runner/queue.ts'
import { freePort } from '../support/free-port.ts'

const FOLDER = join(ROOT, 'docs/guides/console')
const TIMEOUT_MS = 60_000
const token = (role: string) => `pictures-${role}-token`

type Picture = {
  file: string
  path: string
  scheme: 'light' | 'dark'
  height: number
  prepare?: (page: Page) => Promise<void>
}

const BREAKDOWN = '/?by=model&show=measures.cost_micros&measures=output_tokens'

const PICTURES: Picture[] = [
  { file: 'overview', path: '/?sort=-failure_rate', scheme: 'light', height: 900 },
  { file: 'breakdown', path: BREAKDOWN, scheme: 'light', height: 1_000 },
  { file: 'breakdown-dark', path: BREAKDOWN, scheme: 'dark', height: 1_000 },
  {
    ...{ file: 'proof', path: '/events/0/5', scheme: 'dark', height: 860 },
    prepare: async (page) => {
      await page.getByRole('button', { name: 'Check it here' }).click()
      await page.getByText('every step succeeded').waitFor()
    },
  },
  { file: 'sources', path: '/sources', scheme: 'light', height: 560, prepare: postAsProxies },
]

async function main(): Promise<void> {
  if (!isInstalled) throw new UserError('There is no Chromium on this machine (TEST_CHROMIUM).')
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-pictures-'))
  const port = await freePort()
  const env = {
    ...process.env,
    ...Object.fromEntries(ROLES.map((role) => [TOKEN_VARIABLES[role], token(role)])),
    ...{ TALLYBOOK_DATA_DIR: folder, TALLYBOOK_HOST: '127.0.0.1', TALLYBOOK_PORT: `${port}` },
    DATABASE_URL: undefined,
  }
  const run = (command: string) =>
    Bun.spawn([process.execPath, '--no-orphans', join(ROOT, 'src/main.ts'), command], {
      ...{ cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] },
    })
  const service = run('serve')
  try {
    const url = `http://127.0.0.1:${port}`
    await untilReady(url)
    if ((await run('demo').exited) !== 0) throw new UserError('The demo failed.')
    const browser = await launchChromium(TIMEOUT_MS)
    for (const picture of PICTURES) await take(browser, url, picture)
    await browser.close()
  } finally {
    service.kill('SIGTERM')
    await service.exited
    await rm(folder, { recursive: true, force: true })
  }
}

async function untilReady(url: string): Promise<void> {
  for (const end = performance.now() + TIMEOUT_MS; performance.now() < end; ) {
    const response = await fetch(`${url}/health/ready`).catch(() => null)
    if (response?.ok) return
    await Bun.sleep(200)
  }
  throw new UserError('The service did not start.')
}

async function take(browser: Browser, url: string, picture: Picture): Promise<void> {
  const { file, path, scheme, height, prepare } = picture
  const context = await browser.newContext({
    ...{ baseURL: url, locale: 'en-US', viewport: { width: 1_280, height } },
    ...{ colorScheme: scheme, reducedMotion: 'reduce' },
  })
  context.setDefaultTimeout(TIMEOUT_MS)
  const page = await context.newPage()
  await page.request.post('/session', { data: { token: token('admin') } })
  await page.goto(path)
  await page.getByText('Live', { exact: true }).waitFor()
  await page.locator('.bone, .chart[aria-busy=true]').first().waitFor({ state: 'detached' })
  await prepare?.(page)
  await page.screenshot({ path: join(FOLDER, `${file}.png`) })
  console.log(`docs/guides/console/${file}.png`)
  await context.close()
}

/** Posts as a proxy that falls silent, one that was shut down, and one that has lost flushes. */
async function postAsProxies(page: Page): Promise<void> {
  const post = async (name: string, sequences: string[]) => {
    const init = { headers: { authorization: `Bearer ${token('admin')}` } }
    const created = await page.request.post('/admin/tokens', {
      ...init,
      data: { name, role: 'dp' },
    })
    const { token: text } = await created.json()
    const next = async (sequence: string) => {
      const headers = { authorization: `Bearer ${text}`, 'tallybook-sequence': sequence }
      const data = { keys: [{ api_key_id: 1, requests: 3, success_requests: 3 }] }
      await page.request.post('/internal/apikey-stats/flush', { headers, data })
    }
    for (const sequence of sequences) await next(sequence)
    return next
  }
  await post('proxy-eu-1', ['1b4f0e98.api/0', '1b4f0e98.api/1', '1b4f0e98.api/2'])
  await post('proxy-eu-2', ['60303ae2.api/0', '60303ae2.api/1', '60303ae2.api/2;last'])
  const next = await post('proxy-us-1', ['9f86d081.api/0', '9f86d081.api/3'])
  const silent = page.locator('tr', { hasText: 'proxy-eu-1' }).getByText('silent')
  for (let i = 4; (await silent.count()) === 0; i++) {
    await next(`9f86d081.api/${i}`)
    await Bun.sleep(1_000)
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof UserError ? error.message : error)
  process.exit(1)
})
