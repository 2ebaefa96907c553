import { describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { eventually, hasBrowser, settle, useConsole } from './browser.ts'

/** One more than a browser has connections to a host over HTTP/1.1. */
const WINDOWS = 7
const FLUSH = '{"keys":[{"api_key_id":1,"requests":1,"success_requests":1}]}'

describe.skipIf(!hasBrowser)('several windows', () => {
  const console = useConsole()
  let posted = 0
  const post = async () => {
    const response = await console.service.post('/internal/apikey-stats/flush', FLUSH)
    expect(response.status).toBe(200)
    posted++
  }
  const totals = (pages: Page[]) =>
    Promise.all(pages.map((page) => page.locator('.totals dd b').first().textContent()))
  /** What all windows show, as soon as they show what was posted. */
  const shown = async (pages: Page[]) =>
    eventually(
      () => totals(pages),
      (texts) => texts.every((text) => text === String(posted)),
    )
  const wanted = (pages: Page[]) => pages.map(() => String(posted))

  test('all load and follow the log, by one stream; when its window closes, another has it', async () => {
    const { service } = console
    await service.putCatalog({
      provider_groups: [{ id: 1, name: 'one' }],
      api_keys: [{ id: 1, group_id: 1 }],
    })
    await post()
    const first = await console.open('auditor', { path: 'about:blank' })
    let pages = [first]
    while (pages.length < WINDOWS) pages.push(await first.context().newPage())
    for (const page of pages) await countStreams(page)
    for (const page of pages) await page.goto('/')
    for (const page of pages) await settle(page)
    await post()
    expect(await shown(pages)).toEqual(wanted(pages))

    while (pages.length > WINDOWS - 3) {
      const open = await eventually(
        () => Promise.all(pages.map(streamsOf)),
        (counts) => counts.reduce((sum, count) => sum + count) === 1,
      )
      expect(open.toSorted()).toEqual([...pages.slice(1).map(() => 0), 1])
      const leader = pages[open.indexOf(1)]!
      pages = pages.filter((page) => page !== leader)
      await leader.close()
      await post()
      expect(await shown(pages)).toEqual(wanted(pages))
    }
  })
})

/** Notes the streams of the pages that `page` loads from now on. */
async function countStreams(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const Source = globalThis.EventSource
    const streams: EventSource[] = []
    Object.assign(globalThis, { streams })
    globalThis.EventSource = class extends Source {
      constructor(url: string | URL) {
        super(url)
        streams.push(this)
      }
    }
  })
}

/** How many streams a page has open. */
const streamsOf = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const { streams } = globalThis as unknown as { streams: EventSource[] }
    return streams.filter(({ readyState }) => readyState !== EventSource.CLOSED).length
  })
