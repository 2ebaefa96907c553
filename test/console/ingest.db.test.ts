import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import type { TestService } from '../support/service.ts'
import {
  type Console,
  eventually,
  fill,
  hasBrowser,
  readRows,
  settle,
  startConsole,
  watchTotal,
} from './browser.ts'

// What pages are while proxies post without a pause: several hundred flushes a second.

const GROUPS = 10
const KEYS = 60
/** Flushes that are posted together, and milliseconds until the next so many. */
const TOGETHER = 8
const PAUSE_MS = 20
/** Keys of a flush. */
const WIDTH = 20

type Ingest = {
  /** Flushes, and requests in them, that were acknowledged. */
  acknowledged: { flushes: number; requests: number; failures: number }
  /** Returns when so many more were acknowledged. */
  more(flushes: number): Promise<void>
  stop(): Promise<void>
}

/** Posts flushes of all keys, in turns, until it is stopped; none is refused. */
function ingest(service: TestService): Ingest {
  const acknowledged = { flushes: 0, requests: 0, failures: 0 }
  let isOver = false
  let next = 0
  const post = async () => {
    const keys = Array.from({ length: WIDTH }, (_, i) => {
      const requests = 1 + (i % 5)
      const api_key_id = 1 + ((next * WIDTH + i) % (GROUPS * KEYS))
      return { api_key_id, requests, success_requests: requests - (i === 0 ? 1 : 0) }
    })
    next++
    const response = await service.post('/internal/apikey-stats/flush', { keys })
    if (response.status !== 200) throw new Error(`a flush was refused: ${response.status}`)
    acknowledged.flushes++
    acknowledged.requests += keys.reduce((sum, { requests }) => sum + requests, 0)
    acknowledged.failures++
  }
  const run = async () => {
    while (!isOver) {
      await Promise.all(Array.from({ length: TOGETHER }, post))
      await Bun.sleep(PAUSE_MS)
    }
  }
  const running = run()
  // Whoever waits, or stops it, is told; until then it isn't unhandled.
  running.catch(() => {})
  return {
    acknowledged,
    more: async (flushes) => {
      const wanted = acknowledged.flushes + flushes
      while (acknowledged.flushes < wanted) await Promise.race([running, Bun.sleep(PAUSE_MS)])
    },
    stop: () => {
      isOver = true
      return running
    },
  }
}

/** Counts, in the page, how often the service has told it that the log has grown. */
function countSignals(): void {
  const Source = globalThis.EventSource
  const counted = { signals: 0 }
  Object.assign(globalThis, { counted })
  globalThis.EventSource = class extends Source {
    constructor(url: string | URL) {
      super(url)
      this.addEventListener('message', () => counted.signals++)
    }
  }
}

const signalsOf = (page: Page) =>
  page.evaluate(() => (globalThis as unknown as { counted: { signals: number } }).counted.signals)

/** Returns when the page was told so many times more. */
async function toldAgain(page: Page, times: number): Promise<void> {
  const wanted = (await signalsOf(page)) + times
  const told = await eventually(
    () => signalsOf(page),
    (signals) => signals >= wanted,
  )
  expect(told).toBeGreaterThanOrEqual(wanted)
}

const toNumber = (text: string | null | undefined) => Number((text ?? '').replaceAll(',', ''))
const firstTotal = async (page: Page) =>
  toNumber(await page.locator('.totals dd b').first().textContent())

describe.skipIf(!hasBrowser)('under ingest', () => {
  let console: Console
  let flushes: Ingest
  beforeAll(async () => {
    console = await startConsole()
    await fill(console.service, { groups: GROUPS, keys: KEYS })
    flushes = ingest(console.service)
  })
  afterAll(async () => {
    await flushes.stop()
    await console.end()
  })

  /** A page that counts what it is told, at an address. */
  async function open(path: string, role: 'admin' | 'auditor' = 'auditor'): Promise<Page> {
    const page = await console.open(role)
    await page.addInitScript(countSignals)
    await page.goto(path)
    await page.getByText('Live', { exact: true }).waitFor()
    await settle(page)
    return page
  }

  test('the overview grows without a flicker, and reads once a signal at most', async () => {
    const page = await console.open('auditor')
    // What that page is at isn't counted.
    await page.goto('about:blank')
    await page.addInitScript(countSignals)
    const reads = new Map<string, number>()
    page.on('request', (request) => {
      const { pathname, searchParams } = new URL(request.url())
      const name = searchParams.has('group_id') ? 'trends' : pathname
      reads.set(name, (reads.get(name) ?? 0) + 1)
    })
    await page.goto('/')
    await page.getByRole('link', { name: 'group 7' }).waitFor()
    const readShown = await watchTotal(page, GROUPS)
    await toldAgain(page, 6)
    await flushes.more(200)
    const numbers = await readShown()
    expect(numbers.filter((number) => !(number > 0))).toEqual([])
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    expect(new Set(numbers).size).toBeGreaterThan(2)

    const signals = await signalsOf(page)
    // A signal each, the first read, and one that a signal has begun and wasn't counted yet.
    const most = signals + 2
    for (const path of ['/admin/apikey-stats/summary', '/admin/provider-groups', '/admin/usage']) {
      const count = reads.get(path) ?? 0
      expect({ path, count, isFew: count > 1 && count <= most }).toEqual({
        ...{ path, count, isFew: true },
      })
    }
    expect(reads.get('trends')).toBeLessThanOrEqual(2 * GROUPS)
    expect(reads.get('/admin/live')).toBe(1)
  }, 120_000)

  test('the log follows; who has scrolled into it keeps his place, and comes back', async () => {
    const page = await open('/events')
    const newest = async () => toNumber((await readRows(page, 'Events'))[0]?.[0]?.split('/')[1])
    const before = await newest()
    expect(await eventually(newest, (position) => position > before + 10)).toBeGreaterThan(
      before + 10,
    )

    await page.mouse.move(600, 500)
    await page.mouse.wheel(0, 1_500)
    const back = page.getByRole('button', { name: 'To the newest' })
    await back.waitFor()
    /** The row in the middle of the window, and where it is. */
    const place = () =>
      page.evaluate(() => {
        const row = document.elementFromPoint(600, 450)?.closest('tr')
        return [row?.textContent, row?.getBoundingClientRect().top]
      })
    let [text, top] = await place()
    // The wheel may turn on for a while.
    await eventually(
      async () => {
        const before = top
        await Bun.sleep(200)
        ;[text, top] = await place()
        return before
      },
      (before) => before === top,
    )
    expect(text).toContain('ApiKeyStatsFlushed')
    await toldAgain(page, 3)
    await flushes.more(300)
    expect(await place()).toEqual([text, top])

    const left = await newest()
    await back.click()
    await back.waitFor({ state: 'detached' })
    for (const more of [100, 200]) {
      await flushes.more(100 * console.service.shards)
      const wanted = left + more
      expect(await eventually(newest, (position) => position > wanted)).toBeGreaterThan(wanted)
    }
  }, 120_000)

  test('the proof of an event holds, again and again, while the tree grows', async () => {
    const page = await open('/events/0/1')
    const sizeOfTree = async () => {
      await page.getByRole('button', { name: 'Check it here' }).click()
      await page.getByText('every step holds').waitFor()
      expect(await page.locator('.steps li.bad').count()).toBe(0)
      const detail = await page.locator('.steps li').last().locator('.muted').textContent()
      return toNumber(/tree head of ([\d,]+) events/.exec(detail ?? '')?.[1])
    }
    const first = await sizeOfTree()
    expect(first).toBeGreaterThan(1)
    expect(await eventually(sizeOfTree, (size) => size > first)).toBeGreaterThan(first)
  }, 120_000)

  test('the page of a key grows, and what one does on it stays', async () => {
    const page = await open('/api-keys/1', 'admin')
    const before = await firstTotal(page)
    await page.getByText('Numbers').click()
    await page.getByText('The flushes behind the number').click()
    await page.locator('.explained tbody').getByRole('link').first().waitFor()
    await page.getByRole('button', { name: 'Change' }).click()
    await page.getByLabel('Name').fill('half a na')
    await toldAgain(page, 3)
    expect(
      await eventually(
        () => firstTotal(page),
        (total) => total > before,
      ),
    ).toBeGreaterThan(before)
    expect(await page.getByLabel('Name').inputValue()).toBe('half a na')
    await page.getByLabel('Name').press('End')
    await page.keyboard.type('me')
    expect(await page.getByLabel('Name').inputValue()).toBe('half a name')
    await page.getByRole('dialog').getByRole('button', { name: 'Change' }).click()
    await page.getByRole('heading', { name: 'half a name' }).waitFor()
    expect(await page.locator('.usage details').getAttribute('open')).not.toBeNull()
    await page.locator('.explained tbody').getByRole('link').first().click()
    await page.getByText('ApiKeyStatsFlushed').waitFor()
    await page.goBack()
    await page.getByRole('heading', { name: 'half a name' }).waitFor()
  }, 120_000)

  test('signing out cuts it all, in every tab', async () => {
    const page = await open('/')
    const other = await page.context().newPage()
    await other.goto('/events')
    await other.getByText('Live', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    for (const tab of [page, other]) await tab.getByLabel('Token').waitFor()
    const asked: string[] = []
    for (const tab of [page, other]) {
      tab.on('request', (request) => asked.push(new URL(request.url()).pathname))
      expect(await tab.getByText('Live', { exact: true }).count()).toBe(0)
    }
    await flushes.more(400)
    expect(asked.filter((path) => path !== '/session')).toEqual([])
  }, 120_000)

  test('what the pages show in the end is what the service says', async () => {
    const page = await open('/')
    await flushes.stop()
    type Summary = { total_requests: number; success_requests: number; failure_requests: number }
    const summary = await console.service.read<Summary>('/admin/apikey-stats/summary')
    const wanted = [summary.total_requests, summary.success_requests, summary.failure_requests]
    const shown = async () => (await page.locator('.totals dd b').allTextContents()).map(toNumber)
    expect(await eventually(shown, (found) => `${found}` === `${wanted}`)).toEqual(wanted)
    // Besides what `fill` has posted: a hundred times n requests of each key of group n.
    const filled = (100 * KEYS * GROUPS * (GROUPS + 1)) / 2
    expect(summary.total_requests - filled).toBe(flushes.acknowledged.requests)
    const sumOfGroups = async () =>
      (await readRows(page, 'Provider groups')).reduce((sum, row) => sum + toNumber(row[1]), 0)
    expect(await eventually(sumOfGroups, (sum) => sum === wanted[0])).toBe(wanted[0]!)
  }, 120_000)

  test('nothing went wrong in the pages', () => {
    expect(console.complaints).toEqual([])
  })
})
