import { beforeAll, describe, expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { PATHS } from '../../src/console/paths.ts'
import { untilSigned } from '../client/audited.ts'
import { eventually, fill, hasBrowser, settle, titleOf, untilEqual, useConsole } from './browser.ts'

// The console for everybody: by keyboard, without colour, on a phone, with a screen reader.

const AXE = Bun.resolveSync('axe-core/axe.min.js', import.meta.dir)

const SIZES = { wide: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } }
type Size = keyof typeof SIZES
type Scheme = 'light' | 'dark'

/** The height of a screen that shows all of a page: bars hide nothing that can't be scrolled. */
const TALL = 6_000

const isFull = process.env.TALLYBOOK_TEST_FULL === '1'

/** How every page is loaded. TALLYBOOK_TEST_FULL=1: each scheme in each size, for every rule. */
const LOADS: [Size, Scheme][] = isFull
  ? [
      ['wide', 'light'],
      ['wide', 'dark'],
      ['phone', 'light'],
      ['phone', 'dark'],
    ]
  : [
      ['wide', 'light'],
      ['phone', 'dark'],
    ]

const COLOURS = ['color-contrast', 'link-in-text-block']
/** Otherwise every rule runs on a wide screen in light colours, and again what can differ. */
const RULES = {
  all: {
    type: 'tag',
    values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  },
  scheme: { type: 'rule', values: COLOURS },
  // A phone has less room, and shows links and buttons that a wide screen doesn't. Its colours are
  // those of the wide screen.
  phone: {
    type: 'rule',
    values: [
      ...['target-size', 'scrollable-region-focusable', 'meta-viewport'],
      ...['button-name', 'link-name', 'landmark-unique', 'aria-hidden-focus'],
    ],
  },
}

/** Of each page one that has something to show. */
const PAGES = PATHS.map((path) =>
  path
    .replace('/keys/:hash', '/keys/hash-a')
    .replace(':shard', '0')
    .replace(':position', '0')
    .replace(':id', '1'),
)

type Violation = { id: string; nodes: { html: string; failureSummary: string }[] }

/** A page that was loaded: how far it moved meanwhile, its width, and what axe-core finds. */
type Loaded = { path: string; shift: number; width: number; found: string[] }

describe.skipIf(!hasBrowser)('the console for everybody', () => {
  const console = useConsole()
  let axe: string
  beforeAll(async () => {
    axe = await readFile(AXE, 'utf8')
    await fill(console.service, { groups: 3, keys: 20 })
    await untilSigned(console.service)
  })

  /** What axe-core finds against WCAG 2.2 AA. */
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

  /** What it finds on a page of this size, and where that was light, in dark colours. */
  async function violationsOf(page: Page, size: Size): Promise<string[]> {
    if (isFull) return violations(page)
    if (size === 'phone') return violations(page, 'phone')
    const found = await violations(page)
    await page.emulateMedia({ colorScheme: 'dark' })
    return [...found, ...(await violations(page, 'scheme'))]
  }

  /** Loads every page in turn and looks at it; at the past and at a dialog for axe-core only. */
  async function loadAll(size: Size, colorScheme: Scheme) {
    const page = await console.open('admin', {
      ...{ path: '/console/icon.svg', colorScheme, viewport: SIZES[size] },
      ...(size === 'phone' && { hasTouch: true, isMobile: true }),
    })
    await page.addInitScript(() => {
      let shift = 0
      Object.assign(globalThis, { readShift: () => shift })
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) {
          shift += entry.value
        }
      }).observe({ type: 'layout-shift', buffered: true })
    })
    const loaded: Loaded[] = []
    for (const path of PAGES) {
      await page.setViewportSize(SIZES[size])
      await page.emulateMedia({ colorScheme })
      await page.goto(path)
      await settle(page)
      const seen = await page.evaluate(() => ({
        shift: (globalThis as unknown as { readShift: () => number }).readShift(),
        width: document.documentElement.scrollWidth,
      }))
      if (path.startsWith('/events/')) {
        await page.getByRole('button', { name: 'Check it here' }).click()
        await page.getByText('every step holds').waitFor()
      }
      for (const summary of await page.locator('main summary').all()) await summary.click()
      await page.setViewportSize({ ...SIZES[size], height: TALL })
      loaded.push({ path, ...seen, found: await violationsOf(page, size) })
    }
    await page.emulateMedia({ colorScheme })
    await page.goto('/?as_of_position=0/0')
    await page.getByText('Past', { exact: true }).waitFor()
    const past = await violationsOf(page, size)
    await page.emulateMedia({ colorScheme })
    await page.goto('/groups/1')
    await page.getByRole('button', { name: 'End' }).click()
    await page.getByRole('dialog').waitFor()
    const dialog = await violationsOf(page, size)
    return { loaded, past, dialog }
  }

  describe.each(LOADS)('on a %s screen, %s', (size, scheme) => {
    let seen: Awaited<ReturnType<typeof loadAll>>
    beforeAll(async () => {
      seen = await loadAll(size, scheme)
    }, 480_000)

    test('axe-core finds nothing on any page', () => {
      expect(seen.loaded.map(({ path }) => path)).toEqual(PAGES)
      expect(seen.loaded.filter(({ found }) => found.length > 0)).toEqual([])
      expect(seen.past).toEqual([])
      expect(seen.dialog).toEqual([])
    })

    test('no page is wider than the screen', () => {
      expect(seen.loaded.filter(({ width }) => width !== SIZES[size].width)).toEqual([])
    })

    if (size === 'phone') return
    test('nothing moves while a page is loaded', () => {
      // Google's Web Vitals call 0.1 good.
      expect(seen.loaded.filter(({ shift }) => !(shift < 0.02))).toEqual([])
    })
  })

  test('axe-core finds nothing where one signs in, nor in an error', async () => {
    const page = await console.open(null)
    await page.getByLabel('Token').fill('wrong')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    expect(await violations(page)).toEqual([])
  })

  test('all is reached by keyboard, and a dialog gives the focus back', async () => {
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
    expect(await readReached()).toEqual(['Skip to the page'])
    await page.keyboard.press('Enter')
    for (let i = 0; i < 60; i++) await page.keyboard.press('Tab')
    const reached = await readReached()
    const wanted = ['7d', 'day', 'Worst first', 'CSV', 'Add', 'Requests', 'group 2', 'Numbers']
    expect(wanted.filter((name) => !reached.includes(name))).toEqual([])

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

  test('another page is named, and read from its begin', async () => {
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

  test('the first load is below 100 kB, all of it from here', async () => {
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

  test('nothing went wrong in the pages', () => {
    expect(console.complaints).toEqual([])
  })
})
