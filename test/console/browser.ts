import { afterAll, afterEach, beforeAll } from 'bun:test'
import { existsSync } from 'node:fs'
import {
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core'
import { INTERVALS } from '../../src/platform/intervals.ts'
import {
  startTestService,
  type TestService,
  type TestServiceOptions,
  TOKENS,
} from '../support/service.ts'

/**
 * What Debian, Ubuntu, Fedora and Arch call them. The shell has no windows of its own: it draws the
 * same pages for half of the processor time.
 */
const PLACES = [
  'chromium-headless-shell',
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
]

const executablePath =
  process.env.TEST_CHROMIUM ?? PLACES.map((name) => Bun.which(name)).find((path) => path !== null)

/** Whether there is a browser on this machine; said once where there is none. */
export const hasBrowser = executablePath !== undefined && existsSync(executablePath)
if (!hasBrowser) console.log('skipped: there is no Chromium on this machine (TEST_CHROMIUM)')

/** Milliseconds: what a page doesn't show by then, on a machine that is busy, it won't show. */
export const PATIENCE_MS = 60_000

type Role = 'admin' | 'auditor'
type OpenOptions = BrowserContextOptions & { path?: string }

/** A service and a browser in front of it. */
export type Console = {
  service: TestService
  /**
   * Shows a page in the window that the tests of a file share, signed in as `role`: as a link does
   * where the console is there already. null: signed out. Whatever else tests store in the browser
   * stays.
   */
  visit(role: Role | null, path?: string): Promise<Page>
  /** A browser of its own until the test ends, signed in as `role`; null: not signed in. */
  open(role: Role | null, options?: OpenOptions): Promise<Page>
  /** Complaints of the pages: uncaught errors, and requests that the content policy refused. */
  complaints: string[]
}

type StartedConsole = Console & { closeOpened(): Promise<void>; end(): Promise<void> }

/** A service and a browser for the tests of one file; both are gone after them. */
export function useConsole(options: TestServiceOptions = {}): Console {
  const console = {} as StartedConsole
  beforeAll(async () => {
    Object.assign(console, await startConsole(options))
  })
  afterEach(() => console.closeOpened?.())
  afterAll(() => console.end?.())
  return console
}

async function startConsole({
  intervals,
  ...options
}: TestServiceOptions): Promise<StartedConsole> {
  const service = await startTestService({
    ...options,
    // Pages are told what is new as often as those of users: they rest for a second themselves.
    intervals: { streams: INTERVALS.streams, ...intervals },
  })
  const browser = await chromium.launch({
    executablePath: executablePath!,
    timeout: PATIENCE_MS,
    args: [
      // Tests may run as root, and in containers.
      ...['--no-sandbox', '--disable-dev-shm-usage'],
      // Pages are drawn by the processor anyway, and one process fewer does it.
      ...['--disable-gpu', '--in-process-gpu'],
      // All pages are of one site: no process stands by for another, and none for the network.
      ...['--disable-site-isolation-trials', '--enable-features=NetworkServiceInProcess2'],
      '--disable-lcd-text',
    ],
  })
  const complaints: string[] = []
  const opened: BrowserContext[] = []
  let window: { page: Page; role: Role | null } | null = null

  const newPage = async (contextOptions: BrowserContextOptions = {}): Promise<Page> => {
    const context = await browser.newContext({
      ...{ baseURL: service.url, locale: 'en-US', timezoneId: 'Europe/Berlin' },
      ...{ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' },
      ...contextOptions,
    })
    context.setDefaultTimeout(PATIENCE_MS)
    const page = await context.newPage()
    page.on('pageerror', (error) => complaints.push(`${error}`))
    page.on('console', (message) => {
      const text = message.text()
      // The browser itself reports answers that are no good ones; pages show those.
      if (message.type() === 'error' && !text.startsWith('Failed to load resource')) {
        complaints.push(text)
      }
    })
    return page
  }

  return {
    service,
    complaints,
    visit: async (role, path = '/') => {
      window ??= { page: await newPage(), role: null }
      const { page } = window
      await page.unrouteAll()
      await page.context().setOffline(false)
      const isOther = window.role !== role
      // Whoever was signed in by a test is none of our roles.
      if (role === null) await page.context().clearCookies()
      else if (isOther) await startSession(page, role)
      window.role = role
      if (role === null || isOther || !(await follow(page, path))) await page.goto(path)
      return page
    },
    open: async (role, { path = '/', ...contextOptions } = {}) => {
      const page = await newPage(contextOptions)
      opened.push(page.context())
      if (role !== null) await startSession(page, role)
      await page.goto(path)
      return page
    },
    closeOpened: async () => {
      for (const context of opened.splice(0)) await context.close()
    },
    end: async () => {
      await browser.close()
      await service.end()
    },
  }
}

/** Signs a browser in without its page. */
async function startSession(page: Page, role: Role): Promise<void> {
  const response = await page.request.post('/session', { data: { token: TOKENS[role] } })
  if (response.status() !== 201) throw new Error(`not signed in: ${response.status()}`)
}

/**
 * Goes to a page as a link of the console does, which costs a third of a load; false: no page of
 * the console is there. Nothing stays of the page before, even if it is the same one.
 */
const follow = (page: Page, path: string): Promise<boolean> =>
  page.evaluate(async (to) => {
    if (document.getElementById('main') === null) return false
    for (const address of ['/no-page', to]) {
      history.pushState(null, '', address)
      await new Promise((drawn) => requestAnimationFrame(drawn))
    }
    return true
  }, path)

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
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    const value = await read()
    if (wanted(value) || performance.now() > end) return value
    await Bun.sleep(50)
  }
}

/** What `read` gives as soon as it is equal to `wanted`; what it gave last where it never is. */
export const untilEqual = <Value>(read: () => Promise<Value>, wanted: Value): Promise<Value> =>
  eventually(read, (value) => Bun.deepEquals(value, wanted))

/** The title of a page, as soon as it is this one; the last one where it never is. */
export const titleOf = (page: Page, wanted: string): Promise<string> =>
  untilEqual(() => page.title(), wanted)

/** Returns when the page has loaded what it shows. */
export async function settle(page: Page): Promise<void> {
  const isWhole = () =>
    page.evaluate(
      () =>
        document.querySelector('h1') !== null &&
        document.querySelector('.bone, .chart[aria-busy]') === null,
    )
  if (!(await eventually(isWhole, Boolean))) throw new Error(`${page.url()} isn't whole`)
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

/** Counts, in the pages that `page` loads from now on, the signals that the log has grown. */
export async function countSignals(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const Source = globalThis.EventSource
    const counted = { signals: 0 }
    Object.assign(globalThis, { counted })
    globalThis.EventSource = class extends Source {
      constructor(url: string | URL) {
        super(url)
        this.addEventListener('message', () => counted.signals++)
      }
    }
  })
}

/** How many signals a page has counted. */
export const signalsOf = (page: Page): Promise<number> =>
  page.evaluate(() => (globalThis as unknown as { counted: { signals: number } }).counted.signals)

/** Returns when a page has counted this many signals; throws where it never does. */
export async function untilSignals(page: Page, wanted: number): Promise<void> {
  const counted = await eventually(
    () => signalsOf(page),
    (signals) => signals >= wanted,
  )
  if (counted < wanted) throw new Error(`${counted} signals came, not ${wanted}`)
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
