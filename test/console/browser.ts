import { existsSync } from 'node:fs'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { startTestService, type TestService, TOKENS } from '../support/service.ts'

/** Where Debian, Ubuntu, Fedora and Arch put them. */
const PLACES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

const executablePath =
  process.env.TEST_CHROMIUM ?? PLACES.map((name) => Bun.which(name)).find((path) => path !== null)

/** Whether there is a browser on this machine; said once where there is none. */
export const hasBrowser = executablePath !== undefined && existsSync(executablePath)
if (!hasBrowser) console.log('skipped: there is no Chromium on this machine (TEST_CHROMIUM)')

/** A service and a browser in front of it. */
export type Console = {
  service: TestService
  /** A browser of its own, signed in as `role`; null: not signed in. */
  open(role: 'admin' | 'auditor' | null, options?: OpenOptions): Promise<Page>
  /** What pages have complained about: uncaught errors, and what the content policy refused. */
  complaints: string[]
  end(): Promise<void>
}

type OpenOptions = BrowserContextOptions & { path?: string }

export async function startConsole(
  options: Parameters<typeof startTestService>[0] = {},
): Promise<Console> {
  const service = await startTestService(options)
  const browser: Browser = await chromium.launch({
    executablePath: executablePath!,
    // Tests may run as root, and in containers.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  })
  const complaints: string[] = []
  return {
    service,
    complaints,
    open: async (role, { path = '/', ...context } = {}) => {
      const opened = await browser.newContext({
        ...{ baseURL: service.url, locale: 'en-US', timezoneId: 'Europe/Berlin' },
        viewport: { width: 1280, height: 900 },
        ...context,
      })
      const page = await opened.newPage()
      page.setDefaultTimeout(20_000)
      page.on('pageerror', (error) => complaints.push(`${error}`))
      page.on('console', (message) => {
        const text = message.text()
        // The browser itself reports answers that are no good ones; pages show those.
        if (message.type() === 'error' && !text.startsWith('Failed to load resource')) {
          complaints.push(text)
        }
      })
      if (role !== null) await signIn(page, TOKENS[role])
      await page.goto(path)
      return page
    },
    end: async () => {
      await browser.close()
      await service.end()
    },
  }
}

/** Signs in as a person does. */
export async function signIn(page: Page, token: string): Promise<void> {
  await page.goto('/')
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
}

/** What `read` gives as soon as it is `wanted`; what it gave last where that takes too long. */
export async function eventually<Value>(
  read: () => Promise<Value> | Value,
  wanted: (value: Value) => boolean,
): Promise<Value> {
  const end = performance.now() + 20_000
  for (;;) {
    const value = await read()
    if (wanted(value) || performance.now() > end) return value
    await Bun.sleep(50)
  }
}

/** Returns when the page has loaded what it shows. */
export async function settle(page: Page): Promise<void> {
  await page.getByRole('heading', { level: 1 }).waitFor()
  await eventually(
    () => page.locator('.bone, .chart[aria-busy]').count(),
    (count) => count === 0,
  )
}

/**
 * Watches the overview at each of its changes from now on; gives a way to read the totals of
 * requests that it has shown. NaN: something was empty then, or fewer rows than `least`.
 */
export async function watchTotal(page: Page, least: number): Promise<() => Promise<number[]>> {
  await settle(page)
  await page.evaluate((fewest) => {
    const seen: string[] = []
    Object.assign(globalThis, { seen })
    new MutationObserver(() => {
      const text = document.querySelector('.totals dd b')?.textContent ?? 'gone'
      const isWhole = document.querySelectorAll('.bone, .chart[aria-busy]').length === 0
      const rows = document.querySelectorAll('tbody tr').length
      seen.push(isWhole && rows >= fewest ? text : 'not whole')
    }).observe(document.body, { childList: true, subtree: true, characterData: true })
  }, least)
  return async () => {
    const seen = await page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen)
    return seen.map((text) => Number(text.replaceAll(',', '')))
  }
}

/** The text of each cell of a table's rows that are in the document. */
export async function readRows(page: Page, section: string): Promise<string[][]> {
  const rows = page.getByRole('region', { name: section }).locator('tbody tr:not([aria-hidden])')
  return rows.evaluateAll((found) =>
    found.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent.trim())),
  )
}

/** A catalog of `groups` groups with `keys` API keys each, and what was counted of them. */
export async function fill(
  service: TestService,
  { groups, keys }: { groups: number; keys: number },
): Promise<void> {
  const groupIds = Array.from({ length: groups }, (_, i) => i + 1)
  const apiKeys = groupIds.flatMap((group_id) =>
    Array.from({ length: keys }, (_, i) => ({
      ...{ id: (group_id - 1) * keys + i + 1, group_id },
      name: `key ${i + 1} of group ${group_id}`,
    })),
  )
  await service.putCatalog({
    provider_groups: groupIds.map((id) => ({ id, name: `group ${id}` })),
    api_keys: apiKeys,
    keys: [
      { token_hash: 'hash-a', name: 'limited', quota_limit: 1_000 },
      { token_hash: 'hash-b', name: 'free' },
    ],
  })
  await service.post('/internal/apikey-stats/flush', {
    keys: apiKeys.map(({ id, group_id }) => ({
      ...{ api_key_id: id, requests: 100 * group_id },
      success_requests: 100 * group_id - group_id * group_id,
    })),
  })
  await service.post('/internal/stats/flush', {
    keys: [
      { token_hash: 'hash-a', requests: 4, tokens: 900, last_accessed_at: 1_790_000_000 },
      { token_hash: 'hash-b', requests: 2, tokens: 50 },
    ],
  })
}
