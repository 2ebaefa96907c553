import { type Browser, type BrowserContext, chromium } from 'playwright-core'
import type { Child } from '../child.ts'
import { median, percentile } from '../measure.ts'
import type { BenchServer } from '../server.ts'
import { TOKENS } from '../workload.ts'
import { startAt } from './reads.ts'

/** Pages, and the elements that must exist for a page to be usable. */
const PAGES = {
  overview: { path: '/', ready: '.totals dd b:not(:has(.bone)), .chart canvas, tbody td a' },
  'API keys': { path: '/api-keys', ready: 'tbody td a' },
  'API key': { path: '/api-keys/1', ready: '.totals dd b:not(:has(.bone)), .chart canvas' },
  log: { path: '/events', ready: 'tbody td a' },
} as const
type Page = keyof typeof PAGES

type Times = { p50Ms: number; p90Ms: number }

/** Time from the navigation until a page shows its numbers and responds to clicks. */
export type ConsoleRow = {
  page: Page
  events: number
  /** With an empty browser cache, and the second time. */
  first: Times
  again: Times
  /** Compressed size of document, script and style sheet on the first visit. */
  bytes: number
}

export type ConsoleOptions = { keysPerFlush: number; events: number[]; rounds: number }

/** Measures pages of the console in a real browser, at every log size in turn. */
export async function measureConsole(
  server: BenchServer,
  options: ConsoleOptions,
): Promise<ConsoleRow[]> {
  const executablePath = process.env.TEST_CHROMIUM ?? Bun.which('chromium')
  if (!executablePath)
    throw new Error('The section console needs Chromium: set TEST_CHROMIUM to its path.')
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  const running: { events: number; child: Child }[] = []
  const samples = new Map<
    string,
    { first: number[]; again: number[]; row: Omit<ConsoleRow, 'first' | 'again'> }
  >()
  try {
    for (const events of options.events) {
      running.push(await startAt(server, events, options.keysPerFlush))
      console.error(`console: ${events} events appended`)
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const { events, child } of running) {
        for (const page of Object.keys(PAGES) as Page[]) {
          const { first, again, bytes } = await visit(browser, child.url, page)
          const name = `${page} ${events}`
          const known = samples.get(name) ?? { first: [], again: [], row: { page, events, bytes } }
          samples.set(name, known)
          known.first.push(first)
          known.again.push(again)
        }
      }
      console.error(`console: round ${round + 1}`)
    }
  } finally {
    await browser.close()
    for (const { child } of running) await child.stop()
  }
  return [...samples.values()].map(({ first, again, row }) => ({
    ...row,
    first: toTimes(first),
    again: toTimes(again),
  }))
}

const toTimes = (ms: number[]): Times => ({ p50Ms: median(ms), p90Ms: percentile(ms, 0.9) })

async function visit(browser: Browser, url: string, page: Page) {
  // The measurement evaluates code in the page, which the console's CSP forbids.
  const context = await browser.newContext({ baseURL: url, bypassCSP: true })
  try {
    const cookie = await signIn(url)
    await context.addCookies([{ url, ...cookie, httpOnly: true, sameSite: 'Strict' }])
    const first = await open(context, page)
    const again = await open(context, page)
    return { first: first.ms, again: again.ms, bytes: first.bytes }
  } finally {
    await context.close()
  }
}

async function signIn(url: string): Promise<{ name: string; value: string }> {
  const body = JSON.stringify({ token: TOKENS.admin })
  const response = await fetch(`${url}/session`, { method: 'POST', body })
  const [name, value] = response.headers.get('set-cookie')!.split(';')[0]!.split('=')
  return { name: name!, value: value! }
}

/** Evaluated in the page on every frame. If it is true, a click is handled within the frame. */
const isReady = (selectors: string) =>
  `${JSON.stringify(selectors.split(', '))}.every((selector) => document.querySelector(selector))`

async function open(context: BrowserContext, name: Page): Promise<{ ms: number; bytes: number }> {
  const { path, ready } = PAGES[name]
  const page = await context.newPage()
  await page.goto(path, { waitUntil: 'commit' })
  await page.waitForFunction(isReady(ready), null, { polling: 'raf' })
  const ms = (await page.evaluate('performance.now()')) as number
  const bytes = (await page.evaluate(
    `performance.getEntriesByType('navigation')[0].encodedBodySize +
      performance.getEntriesByType('resource')
        .filter(({ name }) => name.includes('/console/'))
        .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)`,
  )) as number
  await page.close()
  return { ms, bytes }
}
