import { beforeAll, describe, expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { PATHS } from '../../src/console/paths.ts'
import { untilSigned } from '../proofs/verifier/audited.ts'
import { isFull } from '../support/full.ts'
import { eventually, fill, hasBrowser, settle, titleOf, untilEqual, useConsole } from './browser.ts'
import { countShift, type Show, SIZES, type Size, screenOf } from './screen.ts'

// The console for everybody: by keyboard, without colour, on a phone, with a screen reader.

const AXE = Bun.resolveSync('axe-core/axe.min.js', import.meta.dir)

type Scheme = 'light' | 'dark'

const COLOURS = ['color-contrast', 'link-in-text-block']
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

/** A look at a page: on a screen of which size, and in each of these schemes by which rules. */
type View = { size: Size; schemes: [Scheme, keyof typeof RULES][] }

/**
 * How every page is looked at after a load. TALLYBOOK_TEST_FULL=1: a load for each size and scheme,
 * and every rule. Otherwise every rule runs on a wide screen in light colours, and of the same load
 * again what can differ.
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

/** The address of one that has something to show. */
const addressOf = (path: string) =>
  path
    .replace('/keys/:hash', '/keys/hash-a')
    .replace(':shard', '0')
    .replace(':position', '0')
    .replace(':id', '1')

const isPage = (name: string) => PATHS.some((path) => path === name)

/** What is looked at: an address, and what is done there before. */
type Place = { path: string; name: string; prepare?: (page: Page) => Promise<void> }

/** Every page, with a bar for each of few days; one in the past, and one with a dialog. */
const PLACES: Place[] = [
  ...PATHS.map((name) => ({
    name,
    path: `${addressOf(name)}?range=7d&bucket=day`,
    ...(name.startsWith('/events/') && { prepare: checkProof }),
  })),
  { name: 'the past', path: '/?as_of_position=0/0', prepare: untilPast },
  { name: 'a dialog', path: '/groups/1', prepare: openDialog },
]

async function untilPast(page: Page): Promise<void> {
  await page.getByText('Past', { exact: true }).waitFor()
}

async function checkProof(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Check it here' }).click()
  await page.getByText('every step succeeded').waitFor()
}

async function openDialog(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'End' }).click()
  await page.getByRole('dialog').waitFor()
}

type Violation = { id: string; nodes: { html: string; failureSummary: string }[] }

/** A page in a view: how far it moved while it was loaded, its width, and what axe-core finds. */
type Seen = { place: string; size: Size; shift: number; width: number; found: string[] }

describe.skipIf(!hasBrowser)('the console for everybody', () => {
  const console = useConsole()
  let axe: string
  beforeAll(async () => {
    axe = await readFile(AXE, 'utf8')
    await fill(console.service, { groups: 3, keys: 2 })
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

  /** Loads a place, in the size and scheme that a page looked at first has. */
  async function load(page: Page, { path, prepare }: Place, show: Show, view: View) {
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

  /** Looks at a loaded page; at all of it at once, so that bars hide nothing that scrolls. */
  async function look(page: Page, show: Show, { size, schemes }: View) {
    await show(size, SIZES[size].height)
    // A chart is drawn anew a moment after the screen has changed.
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

  /** Loads every place in turn and looks at it in these ways. */
  async function lookAtAll(views: View[]): Promise<Seen[]> {
    const page = await console.open('admin', { path: '/console/icon.svg' })
    await page.addInitScript(countShift)
    const show = await screenOf(page)
    const all: Seen[] = []
    for (const place of PLACES) {
      const shift = await load(page, place, show, views[0]!)
      for (const view of views) {
        all.push({ place: place.name, size: view.size, shift, ...(await look(page, show, view)) })
      }
    }
    return all
  }

  describe('on every page', () => {
    let seen: Seen[]
    beforeAll(async () => {
      seen = (await Promise.all(LOADS.map(lookAtAll))).flat()
    }, 480_000)

    test('axe-core finds nothing', () => {
      expect(seen).toHaveLength(PLACES.length * LOADS.flat().length)
      expect(seen.filter(({ found }) => found.length > 0)).toEqual([])
    })

    test('nothing is wider than the screen, a phone’s neither', () => {
      expect(seen.filter(({ width, size }) => width !== SIZES[size].width)).toEqual([])
    })

    test('nothing moves while it is loaded on a wide screen', () => {
      const pages = seen.filter(({ size, place }) => size === 'wide' && isPage(place))
      expect(pages.length).toBeGreaterThanOrEqual(PATHS.length)
      // Google's Web Vitals call 0.1 good.
      expect(pages.filter(({ shift }) => !(shift < 0.02))).toEqual([])
    })
  })

  test('axe-core finds nothing where one signs in, nor in an error', async () => {
    const page = await console.visit(null)
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
