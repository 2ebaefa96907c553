import { afterAll, afterEach, beforeAll } from 'bun:test'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { INTERVALS } from '../../src/platform/intervals.ts'
import { isExtended, LEFT_TO_CI } from '../support/extended.ts'
import {
  startTestService,
  type TestService,
  type TestServiceOptions,
  TOKENS,
} from '../support/service.ts'
import { isInstalled, launchChromium } from './chromium.ts'

/** True if tests with a browser can run; otherwise a line says why they are skipped. */
export const hasBrowser = isExtended && isInstalled

if (!hasBrowser) {
  const reason = isExtended
    ? 'there is no Chromium on this machine (TEST_CHROMIUM)'
    : `Chromium ${LEFT_TO_CI}`
  console.log(`skipped: ${reason}`)
}

/** Timeout (ms) for what a page should show; long, because the machine may be busy. */
export const TIMEOUT_MS = 60_000

type Role = 'admin' | 'auditor'
type OpenOptions = BrowserContextOptions & { path?: string }

/** A service and a browser that shows its console. */
export type Console = {
  service: TestService
  /**
   * Shows a page in the window that the tests of a file share, signed in as `role`, or signed out if
   * it is null. Navigates like a link if the window already shows the console. Everything else that
   * tests store in the browser stays.
   */
  visit(role: Role | null, path?: string): Promise<Page>
  /** Opens a separate browser context until the test ends, signed in as `role` unless it is null. */
  open(role: Role | null, options?: OpenOptions): Promise<Page>
  /** Uncaught errors of the pages, and requests that the content security policy refused. */
  pageErrors: string[]
}

type StartedConsole = Console & { closeContexts(): Promise<void>; end(): Promise<void> }

/** Starts a service and a browser for the tests of one file, and stops both after them. */
export function useConsole(options: TestServiceOptions = {}): Console {
  const console = {} as StartedConsole
  beforeAll(async () => {
    Object.assign(console, await startConsole(options))
  })
  afterEach(() => console.closeContexts?.())
  afterAll(() => console.end?.())
  return console
}

async function startConsole({
  intervals,
  ...options
}: TestServiceOptions): Promise<StartedConsole> {
  const service = await startTestService({
    ...options,
    // Pages get signals as often as those of users: they read at most once a second anyway.
    intervals: { streams: INTERVALS.streams, ...intervals },
  })
  const browser = await theBrowser()
  const pageErrors: string[] = []
  const opened: BrowserContext[] = []
  let window: { page: Page; role: Role | null } | null = null

  const newPage = async (contextOptions: BrowserContextOptions = {}): Promise<Page> => {
    const context = await browser.newContext({
      ...{ baseURL: service.url, locale: 'en-US', timezoneId: 'Europe/Berlin' },
      ...{ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' },
      ...contextOptions,
    })
    context.setDefaultTimeout(TIMEOUT_MS)
    const page = await context.newPage()
    page.on('pageerror', (error) => pageErrors.push(`${error}`))
    page.on('console', (message) => {
      const text = message.text()
      // The browser itself logs failed responses. Pages show them, so they are no errors here.
      if (message.type() === 'error' && !text.startsWith('Failed to load resource')) {
        pageErrors.push(text)
      }
    })
    return page
  }

  return {
    service,
    pageErrors,
    visit: async (role, path = '/') => {
      window ??= { page: await newPage(), role: null }
      const { page } = window
      await page.unrouteAll()
      await page.context().setOffline(false)
      const isOtherRole = window.role !== role
      // A test may have signed in by itself; signing out forgets that session too.
      if (role === null) await page.context().clearCookies()
      else if (isOtherRole) await startSession(page, role)
      window.role = role
      if (role === null || isOtherRole || !(await navigate(page, path))) await page.goto(path)
      return page
    },
    open: async (role, { path = '/', ...contextOptions } = {}) => {
      const page = await newPage(contextOptions)
      opened.push(page.context())
      if (role !== null) await startSession(page, role)
      await page.goto(path)
      return page
    },
    closeContexts: async () => {
      for (const context of opened.splice(0)) await context.close()
    },
    end: async () => {
      await window?.page.context().close()
      await service.end()
    },
  }
}

let launched: Promise<Browser> | null = null

/** Returns the browser that the files of a process share. It ends with the process. */
function theBrowser(): Promise<Browser> {
  launched ??= launchChromium(TIMEOUT_MS)
  return launched
}

/** Signs a browser in without using the page. */
async function startSession(page: Page, role: Role): Promise<void> {
  const response = await page.request.post('/session', { data: { token: TOKENS[role] } })
  if (response.status() !== 201) throw new Error(`not signed in: ${response.status()}`)
}

/**
 * Navigates as a link of the console does, which costs a third of a load. Returns false if the
 * window shows no page of the console. The page is rendered from scratch, even if it is the same.
 */
const navigate = (page: Page, path: string): Promise<boolean> =>
  page.evaluate(async (to) => {
    if (document.getElementById('main') === null) return false
    for (const address of ['/no-page', to]) {
      history.pushState(null, '', address)
      await new Promise((drawn) => requestAnimationFrame(drawn))
    }
    return true
  }, path)

/** Signs in with the form, as a person does. */
export async function signIn(page: Page, token: string): Promise<void> {
  await page.goto('/')
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
}

/** Reads until `isDone` accepts the value. Returns the last value if that takes too long. */
export async function eventually<Value>(
  read: () => Promise<Value> | Value,
  isDone: (value: Value) => boolean,
): Promise<Value> {
  const end = performance.now() + TIMEOUT_MS
  for (;;) {
    const value = await read()
    if (isDone(value) || performance.now() > end) return value
    await Bun.sleep(50)
  }
}

/** Reads until the value equals `expected`. Returns the last value if it never does. */
export const untilEqual = <Value>(read: () => Promise<Value>, expected: Value): Promise<Value> =>
  eventually(read, (value) => Bun.deepEquals(value, expected))

/** Reads the title of a page until it is `expected`. Returns the last title if it never is. */
export const titleOf = (page: Page, expected: string): Promise<string> =>
  untilEqual(() => page.title(), expected)

/** Resolves when the page has loaded everything it shows. */
export async function settle(page: Page): Promise<void> {
  const isWhole = () =>
    page.evaluate(
      () =>
        document.querySelector('h1') !== null &&
        document.querySelector('.bone, .chart[aria-busy]') === null,
    )
  if (!(await eventually(isWhole, Boolean))) throw new Error(`${page.url()} did not finish loading`)
}

/**
 * Records the total of requests that the overview shows at each change from now on. Returns a
 * function that reads them; NaN if something was empty or there were fewer rows than `minRows`.
 */
export async function watchTotal(page: Page, minRows: number): Promise<() => Promise<number[]>> {
  await settle(page)
  await page.evaluate((minimum) => {
    const seen: string[] = []
    Object.assign(globalThis, { seen })
    new MutationObserver(() => {
      const text = document.querySelector('.totals dd b')?.textContent ?? 'gone'
      const isWhole = document.querySelectorAll('.bone, .chart[aria-busy]').length === 0
      const rows = document.querySelectorAll('tbody tr').length
      seen.push(isWhole && rows >= minimum ? text : 'incomplete')
    }).observe(document.body, { childList: true, subtree: true, characterData: true })
  }, minRows)
  return async () => {
    const seen = await page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen)
    return seen.map((text) => Number(text.replaceAll(',', '')))
  }
}

/** Makes pages that `page` loads from now on count the signals that the log has grown. */
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

/** Number of signals that a page has counted. */
export const signalsOf = (page: Page): Promise<number> =>
  page.evaluate(() => (globalThis as unknown as { counted: { signals: number } }).counted.signals)

/** Resolves when a page has counted this many signals, and rejects if it never does. */
export async function untilSignals(page: Page, expected: number): Promise<void> {
  const counted = await eventually(
    () => signalsOf(page),
    (signals) => signals >= expected,
  )
  if (counted < expected) throw new Error(`received ${counted} signals, expected ${expected}`)
}

/** Text of the cells of those rows of a table that are in the document. */
export async function readRows(page: Page, section: string): Promise<string[][]> {
  const rows = page.getByRole('region', { name: section }).locator('tbody tr:not([aria-hidden])')
  return rows.evaluateAll((found) =>
    found.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent.trim())),
  )
}

/** Puts a catalog of `groups` groups with `keys` API keys each, and posts flushes for all of them. */
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
