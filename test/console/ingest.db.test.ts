import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { INTERVALS } from '../../src/platform/intervals.ts'
import type { TestService } from '../support/service.ts'
import {
  countSignals,
  eventually,
  fill,
  hasBrowser,
  PATIENCE_MS,
  readRows,
  settle,
  signalsOf,
  untilSignals,
  useConsole,
  watchTotal,
} from './browser.ts'

// What pages are while proxies post without a pause: dozens of flushes between two signals.

const GROUPS = 10
const KEYS = 60
/** Flushes that are posted together, and milliseconds until the next so many. */
const TOGETHER = 8
const PAUSE_MS = 100
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

/** Returns when the page was told so many times more. */
const sentAgain = async (page: Page, times: number) =>
  untilSignals(page, (await signalsOf(page)) + times)

/** Returns when the service has told those who are signed in so many times that the log grew. */
async function passSignals(service: TestService, count: number): Promise<void> {
  const over = AbortSignal.timeout(PATIENCE_MS)
  const { body } = await service.fetch('auditor', '/admin/live', { signal: over })
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
  // As for users: under load everything that runs ten times as often costs ten times as much.
  const console = useConsole({ intervals: INTERVALS })
  let flushes: Ingest
  beforeAll(async () => {
    await fill(console.service, { groups: GROUPS, keys: KEYS })
    await countSignals(await console.visit('auditor', '/console/icon.svg'))
    flushes = ingest(console.service)
  })
  afterAll(() => flushes.stop())

  /** A page at an address that counts what it is told. */
  async function visit(path: string, role: 'admin' | 'auditor' = 'auditor'): Promise<Page> {
    const page = await console.visit(role, path)
    await page.getByText('Live', { exact: true }).waitFor()
    await settle(page)
    return page
  }

  test('the overview grows without a flicker, and reads once a signal at most', async () => {
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
    await sentAgain(page, 3)
    const numbers = await eventually(readShown, (shown) => new Set(shown).size > 2)
    expect(numbers.filter((number) => !(number > 0))).toEqual([])
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    expect(new Set(numbers).size).toBeGreaterThan(2)

    const paths = ['/admin/apikey-stats/summary', '/admin/provider-groups', '/admin/usage']
    const countsOf = () => paths.map((path) => reads.get(path) ?? 0)
    const counts = await eventually(countsOf, (seen) => Math.min(...seen) > 1)
    // Asked for after the reads were counted: a signal each, and the first read.
    const most = (await signalsOf(page)) + 1
    for (const [i, path] of paths.entries()) {
      const count = counts[i]!
      expect({ path, count, isFew: count > 1 && count <= most }).toEqual({
        ...{ path, count, isFew: true },
      })
    }
    expect(reads.get('trends')).toBeLessThanOrEqual(2 * GROUPS)
    expect(reads.get('/admin/live')).toBe(1)
  })

  test('the log follows; who has scrolled into it keeps their place, and comes back', async () => {
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
    /** The row in the middle of the window, and where it is. */
    const place = () =>
      page.evaluate(() => {
        const row = document.elementFromPoint(600, 450)?.closest('tr')
        return [row?.textContent, row?.getBoundingClientRect().top]
      })
    const [text, top] = await place()
    expect(text).toContain('ApiKeyStatsFlushed')
    await sentAgain(page, 3)
    expect(await place()).toEqual([text, top])

    const left = await newest()
    await back.click()
    await back.waitFor({ state: 'detached' })
    for (const more of [20, 40]) {
      await flushes.more(20 * console.service.shards)
      const wanted = left + more
      expect(await eventually(newest, (position) => position > wanted)).toBeGreaterThan(wanted)
    }
  })

  test('the proof of an event holds, again and again, while the tree grows', async () => {
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

  test('the page of a key grows, and what one does on it stays', async () => {
    const page = await visit('/api-keys/1', 'admin')
    const before = await firstTotal(page)
    await page.getByText('Numbers').click()
    await page.getByText('The flushes behind the number').click()
    await page.locator('.explained tbody').getByRole('link').first().waitFor()
    await page.getByRole('button', { name: 'Change' }).click()
    await page.getByLabel('Name').fill('half a na')
    await sentAgain(page, 3)
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

  test('signing out cuts it all, in every tab', async () => {
    const page = await console.open('auditor')
    await page.getByText('Live', { exact: true }).waitFor()
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
    await passSignals(console.service, 3)
    expect(asked.filter((path) => path !== '/session')).toEqual([])
  })

  test('what the pages show in the end is what the service says', async () => {
    const page = await visit('/')
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
  })

  test('nothing went wrong in the pages', () => {
    expect(console.complaints).toEqual([])
  })
})
