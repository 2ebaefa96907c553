import { type Browser, type BrowserContext, chromium } from 'playwright-core'
import type { Child } from '../child.ts'
import { median, percentile } from '../measure.ts'
import type { BenchServer } from '../server.ts'
import { TOKENS } from '../workload.ts'
import { startAt } from './reads.ts'

/** What is opened, and what has to be there until it can be used. */
const PAGES = {
  overview: { path: '/', ready: '.totals dd b:not(:has(.bone)), .chart canvas, tbody td a' },
  'API keys': { path: '/api-keys', ready: 'tbody td a' },
  'API key': { path: '/api-keys/1', ready: '.totals dd b:not(:has(.bone)), .chart canvas' },
  log: { path: '/events', ready: 'tbody td a' },
} as const
type Page = keyof typeof PAGES

type Times = { p50Ms: number; p90Ms: number }

/** From the address to a page whose numbers are there and which answers a click. */
export type ConsoleRow = {
  page: Page
  events: number
  /** With nothing in the browser's cache, and once more. */
  first: Times
  again: Times
  /** Of document, script and style on the first visit, compressed. */
  bytes: number
}

export type ConsoleOptions = { keysPerFlush: number; events: number[]; rounds: number }

/** Pages of the console in a real browser, at every size of the log, in turns. */
export async function measureConsole(
  server: BenchServer,
  options: ConsoleOptions,
): Promise<ConsoleRow[]> {
  const executablePath = process.env.TEST_CHROMIUM ?? Bun.which('chromium')
  if (!executablePath) throw new Error('The section console needs Chromium: name it TEST_CHROMIUM.')
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  const running: { events: number; child: Child }[] = []
  const samples = new Map<
    string,
    { first: number[]; again: number[]; row: Omit<ConsoleRow, 'first' | 'again'> }
  >()
  try {
    for (const events of options.events) {
      running.push(await startAt(server, events, options.keysPerFlush))
      console.error(`console: ${events} events are there`)
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
  // The measurement asks in the page, which the console's policy forbids.
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

/** Asked in the page on every frame: all there, and a click gets its turn within the frame. */
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
