import type { Page } from 'playwright-core'

/** Makes the next request to a path succeed, without an answer that the page would see. */
export async function loseAnswer(page: Page, path: string): Promise<void> {
  await page.route(
    `**${path}`,
    async (route) => {
      await route.fetch()
      await route.abort()
    },
    { times: 1 },
  )
}
