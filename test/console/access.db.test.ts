import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { PATHS } from '../../src/console/paths.ts'
import { untilSigned } from '../client/audited.ts'
import { type Console, fill, hasBrowser, settle, startConsole } from './browser.ts'

// The console for everybody: by keyboard, without colour, on a phone, with a screen reader.

const AXE = Bun.resolveSync('axe-core/axe.min.js', import.meta.dir)
const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }
/** A screen that shows all of a page: what bars hide on others can be scrolled from under them. */
const tall = (width: number) => ({ viewport: { width, height: 6_000 } })

/** Of each page one that has something to show. */
const PAGES = PATHS.map((path) =>
  path
    .replace('/keys/:hash', '/keys/hash-a')
    .replace(':shard', '0')
    .replace(':position', '0')
    .replace(':id', '1'),
)

type Violation = { id: string; nodes: { html: string; failureSummary: string }[] }

describe.skipIf(!hasBrowser)('the console for everybody', () => {
  let console: Console
  let axe: string
  beforeAll(async () => {
    axe = await readFile(AXE, 'utf8')
    console = await startConsole()
    await fill(console.service, { groups: 3, keys: 40 })
    await untilSigned(console.service)
  })
  afterAll(() => console.end())

  /** What axe-core finds against WCAG 2.2 AA. */
  async function violations(page: Page): Promise<string[]> {
    await page.evaluate(axe)
    const found = await page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: { run(options: object): Promise<{ violations: Violation[] }> }
      }
      const values = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
      return (await axe.run({ runOnly: { type: 'tag', values } })).violations
    })
    return found.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    )
  }

  test.each([
    ['light', 'wide'],
    ['dark', 'wide'],
    ['light', 'phone'],
    ['dark', 'phone'],
  ] as const)(
    'axe-core finds nothing on any page: %s, %s',
    async (colorScheme, screen) => {
      const page = await console.open('admin', {
        ...{ colorScheme, reducedMotion: 'reduce' },
        ...(screen === 'phone' ? { ...PHONE, ...tall(360) } : tall(1_280)),
      })
      for (const path of PAGES) {
        await page.goto(path)
        await settle(page)
        if (path.startsWith('/events/')) {
          await page.getByRole('button', { name: 'Check it here' }).click()
          await page.getByText('every step holds').waitFor()
        }
        for (const summary of await page.locator('main summary').all()) await summary.click()
        expect({ path, found: await violations(page) }).toEqual({ path, found: [] })
      }
      await page.goto('/?as_of_position=0/0')
      await page.getByText('Past', { exact: true }).waitFor()
      expect(await violations(page)).toEqual([])
      await page.goto('/groups/1')
      await page.getByRole('button', { name: 'End' }).click()
      await page.getByRole('dialog').waitFor()
      expect(await violations(page)).toEqual([])
    },
    180_000,
  )

  test('axe-core finds nothing where one signs in, nor in an error', async () => {
    const page = await console.open(null)
    await page.getByLabel('Token').fill('wrong')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    expect(await violations(page)).toEqual([])
  })

  test('no page is wider than a phone', async () => {
    const page = await console.open('admin', PHONE)
    for (const path of PAGES) {
      await page.goto(path)
      await settle(page)
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      expect({ path, width }).toEqual({ path, width: PHONE.viewport.width })
    }
  }, 60_000)

  test('all is reached by keyboard, and a dialog gives the focus back', async () => {
    const page = await console.open('admin')
    await settle(page)
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.textContent?.trim())).toBe(
      'Skip to the page',
    )
    await page.keyboard.press('Enter')
    const reached = new Set<string>()
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab')
      reached.add(
        await page.evaluate(() => {
          const { activeElement: element } = document
          return element?.getAttribute('aria-label') ?? element?.textContent?.trim() ?? ''
        }),
      )
    }
    const wanted = ['7d', 'day', 'Worst first', 'CSV', 'Add', 'Requests', 'group 2', 'Numbers']
    expect(wanted.filter((name) => !reached.has(name))).toEqual([])

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
      expect(await opener.evaluate((element) => element === document.activeElement)).toBe(true)
    }
  })

  test('another page is named, and read from its begin', async () => {
    const page = await console.open('auditor')
    await settle(page)
    expect(await page.title()).toBe('Overview · Tallybook')
    await page.getByRole('link', { name: 'group 2' }).click()
    await page.getByRole('heading', { name: 'group 2' }).waitFor()
    expect(await page.title()).toBe('group 2 · Tallybook')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
    await page.goBack()
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    expect(await page.title()).toBe('Overview · Tallybook')
  })

  test('nothing moves while a page is loaded', async () => {
    const page = await console.open('auditor')
    for (const path of PAGES) {
      await page.addInitScript(() => {
        let shift = 0
        Object.assign(globalThis, { readShift: () => shift })
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) {
            shift += entry.value
          }
        }).observe({ type: 'layout-shift', buffered: true })
      })
      await page.goto(path)
      await settle(page)
      const shift = await page.evaluate(() =>
        (globalThis as unknown as { readShift: () => number }).readShift(),
      )
      // Google's Web Vitals call 0.1 good.
      expect({ path, isCalm: shift < 0.02, shift: shift < 0.02 ? 0 : shift }).toEqual({
        ...{ path, isCalm: true, shift: 0 },
      })
    }
  }, 60_000)

  test('the first load is below 100 kB, all of it from here', async () => {
    const page = await console.open(null)
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
