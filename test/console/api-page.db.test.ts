import { describe, expect, test } from 'bun:test'
import { TOKENS } from '../support/service.ts'
import { hasBrowser, untilEqual, useConsole } from './browser.ts'

// The page at /swagger, in a browser that enforces its Content-Security-Policy.

const SUMMARY = '/swagger#/Admin%20reads/getAdminApikeyStatsSummary'

describe.skipIf(!hasBrowser)('the API page', () => {
  const console = useConsole()

  test('sends a request with a token, and shows a total beyond 2^53 as it was sent', async () => {
    const { service } = console
    await service.putCatalog({
      provider_groups: [{ id: 1 }],
      api_keys: [{ id: 1, group_id: 1 }],
    })
    const counted = [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 1]
    for (const requests of counted) {
      const flush = { keys: [{ api_key_id: 1, requests }] }
      expect((await service.post('/internal/apikey-stats/flush', flush)).status).toBe(200)
    }
    const page = await console.open(null, { path: SUMMARY })
    // A click waits until the button does not move, which a busy machine may not draw for a minute.
    await page.getByRole('button', { name: 'Authorize', exact: true }).dispatchEvent('click')
    const dialog = page.locator('.modal-ux')
    await dialog.locator('input').fill(TOKENS.auditor)
    await dialog.locator('button.authorize').click()
    await dialog.locator('button.btn-done').click()
    await page.getByRole('button', { name: 'Try it out' }).click()
    await page.getByRole('button', { name: 'Execute' }).click()
    const total = counted.map(BigInt).reduce((a, b) => a + b)
    const shown = page.locator('.live-responses-table')
    await shown.filter({ hasText: `"total_requests":${total}` }).waitFor()
  })

  test('is dark if the system is, and light otherwise', async () => {
    const page = await console.open(null, { path: '/swagger', colorScheme: 'dark' })
    await page.getByRole('heading', { name: /^Data plane/ }).waitFor()
    const scheme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme)
    expect(await scheme()).toBe('dark')
    await page.emulateMedia({ colorScheme: 'light' })
    expect(await untilEqual(scheme, 'normal')).toBe('normal')
  })

  test('the page reports no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
