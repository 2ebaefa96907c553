import { describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { eventually, hasBrowser, settle, useConsole } from './browser.ts'

/** One more than a browser opens connections to a host over HTTP/1.1. */
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
  /** Reads the totals of all windows until they equal what was posted. */
  const shown = async (pages: Page[]) =>
    eventually(
      () => totals(pages),
      (texts) => texts.every((text) => text === String(posted)),
    )
  const expected = (pages: Page[]) => pages.map(() => String(posted))

  test('share one stream, which another window takes over when its window closes', async () => {
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
    expect(await shown(pages)).toEqual(expected(pages))

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
      expect(await shown(pages)).toEqual(expected(pages))
    }
  })
})

/** Records the streams of pages that `page` loads from now on. */
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

/** Number of open streams of a page. */
const streamsOf = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const { streams } = globalThis as unknown as { streams: EventSource[] }
    return streams.filter(({ readyState }) => readyState !== EventSource.CLOSED).length
  })
