import type { Page } from 'playwright-core'

/** Delay (ms) of an answer: longer than a dialog takes to close and to open again. */
const DELAY_MS = 500

/** Until `end` is called, reads of `path` are answered late, with what was there when they began. */
export async function slowReads(page: Page, path: string): Promise<{ end(): Promise<void> }> {
  await page.route(`**${path}*`, async (route) => {
    if (route.request().method() !== 'GET') return route.continue()
    const response = await route.fetch()
    await Bun.sleep(DELAY_MS)
    await route.fulfill({ response })
  })
  return { end: () => page.unrouteAll({ behavior: 'wait' }) }
}
