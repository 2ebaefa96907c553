import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { INTERVALS } from '../../src/platform/intervals.ts'
import type { TestService } from '../support/service.ts'
import {
  countSignals,
  eventually,
  fill,
  hasBrowser,
  readRows,
  settle,
  signalsOf,
  TIMEOUT_MS,
  untilSignals,
  useConsole,
  watchTotal,
} from './browser.ts'

// Pages while proxies post all the time: dozens of flushes between two signals.

const GROUPS = 10
const KEYS = 60
/** Flushes posted at once, and the pause (ms) before the next ones. */
const CONCURRENT = 8
const PAUSE_MS = 100
/** Keys per flush. */
const KEYS_PER_FLUSH = 20

type Ingest = {
  /** Acknowledged flushes, and the requests and failures in them. */
  acknowledged: { flushes: number; requests: number; failures: number }
  /** Resolves when this many more flushes were acknowledged. */
  waitForMore(flushes: number): Promise<void>
  stop(): Promise<void>
}

/** Posts flushes over all keys in turn until it is stopped, and fails if one is refused. */
function ingest(service: TestService): Ingest {
  const acknowledged = { flushes: 0, requests: 0, failures: 0 }
  let isStopped = false
  let next = 0
  const post = async () => {
    const keys = Array.from({ length: KEYS_PER_FLUSH }, (_, i) => {
      const requests = 1 + (i % 5)
      const api_key_id = 1 + ((next * KEYS_PER_FLUSH + i) % (GROUPS * KEYS))
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
    while (!isStopped) {
      await Promise.all(Array.from({ length: CONCURRENT }, post))
      await Bun.sleep(PAUSE_MS)
    }
  }
  const running = run()
  // The caller of `waitForMore` or `stop` gets the error; until then it must not count as unhandled.
  running.catch(() => {})
  return {
    acknowledged,
    waitForMore: async (flushes) => {
      const expected = acknowledged.flushes + flushes
      while (acknowledged.flushes < expected) await Promise.race([running, Bun.sleep(PAUSE_MS)])
    },
    stop: () => {
      isStopped = true
      return running
    },
  }
}

/** Resolves when the page has counted this many more signals. */
const untilMoreSignals = async (page: Page, times: number) =>
  untilSignals(page, (await signalsOf(page)) + times)

/** Resolves when the service has sent this many signals that the log has grown. */
async function waitForSignals(service: TestService, count: number): Promise<void> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS)
  const { body } = await service.fetch('auditor', '/admin/live', { signal: timeout })
  let text = ''
  for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    if (text.split('data: ').length > count) break
  }
}

const toNumber = (text: string | null | undefined) => Number((text ?? '').replaceAll(',', ''))
const firstTotal = async (page: Page) =>
  toNumber(await page.locator('.totals dd b').first().textContent())

describe.skipIf(!hasBrowser)('under ingest', () => {
  // Intervals as in production: under load, ten times as many runs cost ten times as much.
  const console = useConsole({ intervals: INTERVALS })
  let flushes: Ingest
  beforeAll(async () => {
    await fill(console.service, { groups: GROUPS, keys: KEYS })
    await countSignals(await console.visit('auditor', '/console/icon.svg'))
    flushes = ingest(console.service)
  })
  afterAll(() => flushes.stop())

  /** Shows a page that counts signals, and waits until it is live and loaded. */
  async function visit(path: string, role: 'admin' | 'auditor' = 'auditor'): Promise<Page> {
    const page = await console.visit(role, path)
    await page.getByText('Live', { exact: true }).waitFor()
    await settle(page)
    return page
  }

  test('the overview updates without flicker, and reads at most once per signal', async () => {
    const page = await console.visit('auditor', '/console/icon.svg')
    const reads = new Map<string, number>()
    page.on('request', (request) => {
      const { pathname, searchParams } = new URL(request.url())
      const name = searchParams.has('group_id') ? 'trends' : pathname
      reads.set(name, (reads.get(name) ?? 0) + 1)
    })
    await page.goto('/')
    await page.getByRole('link', { name: 'group 7' }).waitFor()
    const readShown = await watchTotal(page, GROUPS)
    await untilMoreSignals(page, 3)
    const numbers = await eventually(readShown, (shown) => new Set(shown).size > 2)
    expect(numbers.filter((number) => !(number > 0))).toEqual([])
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    expect(new Set(numbers).size).toBeGreaterThan(2)

    const paths = ['/admin/apikey-stats/summary', '/admin/provider-groups', '/admin/usage']
    const countsOf = () => paths.map((path) => reads.get(path) ?? 0)
    const counts = await eventually(countsOf, (seen) => Math.min(...seen) > 1)
    // Read after the reads were counted: one read per signal, and the first one.
    const max = (await signalsOf(page)) + 1
    for (const [i, path] of paths.entries()) {
      const count = counts[i]!
      expect({ path, count, isFew: count > 1 && count <= max }).toEqual({
        ...{ path, count, isFew: true },
      })
    }
    expect(reads.get('trends')).toBeLessThanOrEqual(2 * GROUPS)
    expect(reads.get('/admin/live')).toBe(1)
  })

  test('the log page updates, keeps a scrolled position, and jumps back to the newest', async () => {
    const page = await visit('/events')
    const newest = async () => toNumber((await readRows(page, 'Events'))[0]?.[0]?.split('/')[1])
    const before = await newest()
    expect(await eventually(newest, (position) => position > before + 10)).toBeGreaterThan(
      before + 10,
    )

    const isScrolled = page.evaluate(
      () => new Promise<void>((done) => addEventListener('scrollend', () => done())),
    )
    await page.mouse.move(600, 500)
    await page.mouse.wheel(0, 1_500)
    await isScrolled
    const back = page.getByRole('button', { name: 'Jump to newest' })
    await back.waitFor()
    /** The row in the middle of the window, and its position. */
    const place = () =>
      page.evaluate(() => {
        const row = document.elementFromPoint(600, 450)?.closest('tr')
        return [row?.textContent, row?.getBoundingClientRect().top]
      })
    const [text, top] = await place()
    expect(text).toContain('ApiKeyStatsFlushed')
    await untilMoreSignals(page, 3)
    expect(await place()).toEqual([text, top])

    const left = await newest()
    await back.click()
    await back.waitFor({ state: 'detached' })
    for (const growth of [20, 40]) {
      await flushes.waitForMore(20 * console.service.shards)
      const expected = left + growth
      expect(await eventually(newest, (position) => position > expected)).toBeGreaterThan(expected)
    }
  })

  test('the proof of an event keeps passing while the tree grows', async () => {
    const page = await visit('/events/0/1')
    const sizeOfTree = async () => {
      await page.getByRole('button', { name: 'Check it here' }).click()
      await page.getByText('every step succeeded').waitFor()
      expect(await page.locator('.steps li.bad').count()).toBe(0)
      const detail = await page.locator('.steps li').last().locator('.muted').textContent()
      return toNumber(/tree head of ([\d,]+) events/.exec(detail ?? '')?.[1])
    }
    const first = await sizeOfTree()
    expect(first).toBeGreaterThan(1)
    expect(await eventually(sizeOfTree, (size) => size > first)).toBeGreaterThan(first)
  })

  test('the page of a key updates without losing open details, dialogs or input', async () => {
    const page = await visit('/api-keys/1', 'admin')
    const before = await firstTotal(page)
    await page.getByText('Numbers').click()
    await page.getByText('The events behind the number').click()
    await page.locator('.explained tbody').getByRole('link').first().waitFor()
    await page.getByRole('button', { name: 'Change' }).click()
    await page.getByLabel('Name').fill('half a na')
    await untilMoreSignals(page, 3)
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
  })

  test('signing out stops updates and reads in every tab', async () => {
    const page = await console.open('auditor')
    await page.getByText('Live', { exact: true }).waitFor()
    const other = await page.context().newPage()
    await other.goto('/events')
    await other.getByText('Live', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    for (const tab of [page, other]) await tab.getByLabel('Token').waitFor()
    const requested: string[] = []
    for (const tab of [page, other]) {
      tab.on('request', (request) => requested.push(new URL(request.url()).pathname))
      expect(await tab.getByText('Live', { exact: true }).count()).toBe(0)
    }
    await waitForSignals(console.service, 3)
    expect(requested.filter((path) => path !== '/session')).toEqual([])
  })

  test('the pages finally show the numbers of the service', async () => {
    const page = await visit('/')
    await flushes.stop()
    type Summary = { total_requests: number; success_requests: number; failure_requests: number }
    const summary = await console.service.read<Summary>('/admin/apikey-stats/summary')
    const expected = [summary.total_requests, summary.success_requests, summary.failure_requests]
    const shown = async () => (await page.locator('.totals dd b').allTextContents()).map(toNumber)
    expect(await eventually(shown, (found) => `${found}` === `${expected}`)).toEqual(expected)
    // Without the flushes of `fill`: 100 × n requests for each key of group n.
    const filled = (100 * KEYS * GROUPS * (GROUPS + 1)) / 2
    expect(summary.total_requests - filled).toBe(flushes.acknowledged.requests)
    const sumOfGroups = async () =>
      (await readRows(page, 'Provider groups')).reduce((sum, row) => sum + toNumber(row[1]), 0)
    expect(await eventually(sumOfGroups, (sum) => sum === expected[0])).toBe(expected[0]!)
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
