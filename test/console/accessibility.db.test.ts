import { beforeAll, describe, expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { PATHS } from '../../src/console/paths.ts'
import { untilSigned } from '../proofs/verifier/audited.ts'
import { isFull } from '../support/full.ts'
import { eventually, fill, hasBrowser, settle, titleOf, untilEqual, useConsole } from './browser.ts'
import { isPage, PAGES, type TestedPage } from './pages.ts'
import { countShift, type Show, SIZES, type Size, screenOf } from './screen.ts'

// The console by keyboard, without colour, on a phone, and with a screen reader.

const AXE = Bun.resolveSync('axe-core/axe.min.js', import.meta.dir)

type Scheme = 'light' | 'dark'

const COLOURS = ['color-contrast', 'link-in-text-block']
const RULES = {
  all: {
    type: 'tag',
    values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  },
  scheme: { type: 'rule', values: COLOURS },
  // A phone has less space, and shows links and buttons that a wide screen does not. Its colours
  // are the same.
  phone: {
    type: 'rule',
    values: [
      ...['target-size', 'scrollable-region-focusable', 'meta-viewport'],
      ...['button-name', 'link-name', 'landmark-unique', 'aria-hidden-focus'],
    ],
  },
}

/** A check of a page: the size of its screen, and the rules for each colour scheme. */
type View = { size: Size; schemes: [Scheme, keyof typeof RULES][] }

/**
 * How every page is checked after a load. With TALLYBOOK_TEST_FULL=1 it is loaded for each size and
 * scheme, and checked by every rule. Otherwise it is loaded once: every rule runs on a wide screen
 * in light colours, then only the rules that can differ in dark colours and on a phone.
 */
const LOADS: View[][] = isFull
  ? [
      [{ size: 'wide', schemes: [['light', 'all']] }],
      [{ size: 'wide', schemes: [['dark', 'all']] }],
      [{ size: 'phone', schemes: [['light', 'all']] }],
      [{ size: 'phone', schemes: [['dark', 'all']] }],
    ]
  : [
      [
        {
          size: 'wide',
          schemes: [
            ['light', 'all'],
            ['dark', 'scheme'],
          ],
        },
        { size: 'phone', schemes: [['dark', 'phone']] },
      ],
    ]

type Violation = { id: string; nodes: { html: string; failureSummary: string }[] }

/** Result of a view of a page: its layout shift during the load, width, and axe-core findings. */
type Checked = { place: string; size: Size; shift: number; width: number; found: string[] }

describe.skipIf(!hasBrowser)('accessibility of the console', () => {
  const console = useConsole()
  let axe: string
  beforeAll(async () => {
    axe = await readFile(AXE, 'utf8')
    await fill(console.service, { groups: 3, keys: 2 })
    await console.service.putCatalog({
      dimensions: [{ name: 'model' }],
      measures: [{ name: 'cost_micros', unit: 'USD/1e6' }],
      // Not crossed, or the health page would have one finding more.
      rules: [{ name: 'quota', kind: 'quota', percent: 80, token_hash: 'none' }],
    })
    const webhook = JSON.stringify({ name: 'pager', url: 'https://169.254.0.1/' })
    await console.service.fetch('admin', '/admin/webhooks', { method: 'POST', body: webhook })
    await console.service.post('/internal/apikey-stats/flush', {
      keys: Array.from({ length: 12 }, (_, i) => ({
        ...{ api_key_id: 1, requests: 10, dimensions: { model: `model-${i}` } },
        measures: { cost_micros: 1_000 },
      })),
    })
    await console.service.act('/admin/corrections', {
      adjust: { keys: [{ token_hash: 'hash-b', request_count: 1, used_tokens: 1, quota_used: 0 }] },
      reason: 'counted by hand',
    })
    const keys = [
      { api_key: 'sk-unknown', requests: 1 },
      { api_key_id: 99, requests: 1 },
    ]
    // The last flush, or the health page would have one finding more after a while.
    const last = { 'tallybook-sequence': 'gw-1/0;last' }
    await console.service.post('/internal/apikey-stats/flush', { keys }, last)
    await untilSigned(console.service)
  })

  /** Violations of WCAG 2.2 AA that axe-core finds. */
  async function violations(page: Page, rules: keyof typeof RULES = 'all'): Promise<string[]> {
    if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe)
    const found = await page.evaluate(async (runOnly) => {
      const { axe } = globalThis as unknown as {
        axe: { run(options: object): Promise<{ violations: Violation[] }> }
      }
      return (await axe.run({ runOnly, resultTypes: ['violations'] })).violations
    }, RULES[rules])
    return found.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    )
  }

  /** Loads a page in the size and first scheme of a view. Returns its layout shift. */
  async function load(page: Page, { path, prepare }: TestedPage, show: Show, view: View) {
    await show(view.size, SIZES[view.size].height)
    await page.emulateMedia({ colorScheme: view.schemes[0]![0] })
    await page.goto(path)
    await settle(page)
    const shift = await page.evaluate(() =>
      (globalThis as unknown as { readShift: () => number }).readShift(),
    )
    await prepare?.(page)
    return shift
  }

  /** Checks a loaded page at its full height, so that sticky bars hide nothing. */
  async function check(page: Page, show: Show, { size, schemes }: View) {
    await show(size, SIZES[size].height)
    // Charts are redrawn a moment after the screen has changed.
    const width = await untilEqual(
      () => page.evaluate(() => document.documentElement.scrollWidth),
      SIZES[size].width,
    )
    await page.evaluate(() => {
      for (const details of document.querySelectorAll('main details')) {
        details.setAttribute('open', '')
      }
    })
    await settle(page)
    await show(size, await page.evaluate(() => document.documentElement.scrollHeight))
    const found: string[] = []
    for (const [colorScheme, rules] of schemes) {
      await page.emulateMedia({ colorScheme })
      found.push(...(await violations(page, rules)))
    }
    return { width, found }
  }

  /** Loads every page in turn and checks it in these views. */
  async function checkAll(views: View[]): Promise<Checked[]> {
    const page = await console.open('admin', { path: '/console/icon.svg' })
    await page.addInitScript(countShift)
    const show = await screenOf(page)
    const all: Checked[] = []
    for (const place of PAGES) {
      const shift = await load(page, place, show, views[0]!)
      for (const view of views) {
        all.push({ place: place.name, size: view.size, shift, ...(await check(page, show, view)) })
      }
    }
    return all
  }

  describe('on every page', () => {
    let checked: Checked[]
    beforeAll(async () => {
      checked = (await Promise.all(LOADS.map(checkAll))).flat()
    }, 480_000)

    test('axe-core finds nothing', () => {
      expect(checked).toHaveLength(PAGES.length * LOADS.flat().length)
      expect(checked.filter(({ found }) => found.length > 0)).toEqual([])
    })

    test('no page is wider than its screen, on a phone either', () => {
      expect(checked.filter(({ width, size }) => width !== SIZES[size].width)).toEqual([])
    })

    test('nothing moves during the load on a wide screen', () => {
      const pages = checked.filter(({ size, place }) => size === 'wide' && isPage(place))
      expect(pages.length).toBeGreaterThanOrEqual(PATHS.length)
      // Google's Web Vitals rate up to 0.1 as good.
      expect(pages.filter(({ shift }) => !(shift < 0.02))).toEqual([])
    })
  })

  test('axe-core finds nothing in the sign-in form and its error', async () => {
    const page = await console.visit(null)
    await page.getByLabel('Token').fill('wrong')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    expect(await violations(page)).toEqual([])
  })

  test('every control is reachable by keyboard, and a dialog returns the focus', async () => {
    const page = await console.visit('admin')
    await settle(page)
    await page.evaluate(() => {
      const reached: string[] = []
      Object.assign(globalThis, { reached })
      document.addEventListener('focusin', () => {
        const { activeElement: element } = document
        reached.push(element?.getAttribute('aria-label') ?? element?.textContent?.trim() ?? '')
      })
    })
    const readReached = () =>
      page.evaluate(() => (globalThis as unknown as { reached: string[] }).reached)
    await page.keyboard.press('Tab')
    expect(await readReached()).toEqual(['Skip to content'])
    await page.keyboard.press('Enter')
    let missed = ['7d', 'day', 'Worst first', 'CSV', 'Add', 'Requests', 'group 2', 'Numbers']
    for (let i = 0; i < 60 && missed.length > 0; i += 10) {
      for (let j = 0; j < 10; j++) await page.keyboard.press('Tab')
      const reached = await readReached()
      missed = missed.filter((name) => !reached.includes(name))
    }
    expect(missed).toEqual([])

    const opener = page.getByRole('button', { name: 'As of now' })
    const dialog = page.getByRole('dialog')
    for (const close of [
      () => page.keyboard.press('Escape'),
      () => dialog.getByRole('button', { name: 'Cancel' }).press('Enter'),
    ]) {
      await opener.focus()
      await page.keyboard.press('Enter')
      await dialog.waitFor()
      await close()
      await dialog.waitFor({ state: 'detached' })
      const isBack = () => opener.evaluate((element) => element === document.activeElement)
      expect(await eventually(isBack, Boolean)).toBe(true)
    }
  })

  test('navigation sets the title and moves the focus to the start of the page', async () => {
    const page = await console.visit('auditor')
    await settle(page)
    expect(await titleOf(page, 'Overview · Tallybook')).toBe('Overview · Tallybook')
    await page.getByRole('link', { name: 'group 2' }).click()
    await page.getByRole('heading', { name: 'group 2', exact: true }).waitFor()
    expect(await titleOf(page, 'group 2 · Tallybook')).toBe('group 2 · Tallybook')
    const focused = () => page.evaluate(() => document.activeElement?.id)
    expect(await untilEqual(focused, 'main')).toBe('main')
    await page.goBack()
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    expect(await titleOf(page, 'Overview · Tallybook')).toBe('Overview · Tallybook')
  })

  test('the first load is below 100 kB, and all of it comes from the service', async () => {
    const page = await console.open(null, { path: 'about:blank' })
    const loaded: string[] = []
    page.on('response', (response) => loaded.push(response.url()))
    await page.goto('/')
    await page.getByLabel('Token').waitFor()
    await page.waitForLoadState('networkidle')
    expect([...new Set(loaded.map((url) => new URL(url).origin))]).toEqual([console.service.url])
    let bytes = 0
    for (const url of loaded) {
      const headers = { 'accept-encoding': 'gzip' }
      bytes += (await (await fetch(url, { headers, decompress: false })).arrayBuffer()).byteLength
    }
    expect(loaded.filter((url) => /\/console\/main-/.test(url))).toHaveLength(2)
    expect(bytes).toBeGreaterThan(10_000)
    expect(bytes).toBeLessThan(100_000)
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
