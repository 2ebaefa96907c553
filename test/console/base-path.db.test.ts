import { describe, expect, test } from 'bun:test'
import { type HttpProxy, startHttpProxy } from '../support/http-proxy.ts'
import { TOKENS } from '../support/service.ts'
import { eventually, hasBrowser, settle, useConsole } from './browser.ts'

const BASE = '/tally/book'
const FLUSH = '{"keys":[{"api_key_id":1,"requests":7,"success_requests":7}]}'

describe.skipIf(!hasBrowser)('under a base path', () => {
  const console = useConsole({ basePath: BASE })

  for (const form of ['kept', 'stripped'] as const) {
    test(`the console works behind a proxy with the prefix ${form}`, async () => {
      const { service } = console
      await service.putCatalog({
        provider_groups: [{ id: 1, name: 'one' }],
        api_keys: [{ id: 1, group_id: 1 }],
      })
      const proxy = await startHttpProxy(service.url, BASE, form)
      try {
        const page = await console.open(null, { path: 'about:blank' })
        const failed = collectFailures(page, proxy)

        await page.goto(`${proxy.url}/`)
        await page.getByLabel('Token').fill(TOKENS.auditor)
        await page.getByRole('button', { name: 'Sign in' }).click()
        await page.getByRole('heading', { name: 'Overview' }).waitFor()
        const [cookie] = await page.context().cookies()
        expect(cookie).toMatchObject({ path: BASE, httpOnly: true })

        // Links, a reload (one document serves all pages), and the back button.
        for (const title of ['API keys', 'Token keys', 'Log', 'Proofs', 'Health']) {
          await page.getByRole('link', { name: title, exact: true }).first().click()
          await page.getByRole('heading', { name: title, level: 1 }).waitFor()
          expect(page.url()).toStartWith(`${proxy.url}/`)
        }
        await page.reload()
        await page.getByRole('heading', { name: 'Health', level: 1 }).waitFor()
        await page.goto(proxy.url.replace(/$/, '/api-keys/1'))
        await settle(page)
        await page.getByRole('link', { name: 'group #1' }).click()
        await page.getByRole('heading', { name: 'one' }).waitFor()
        await page.goBack()
        await page.getByRole('heading', { name: '#1' }).first().waitFor()

        // Signals that the log has grown pass the proxy.
        await page.goto(`${proxy.url}/`)
        await settle(page)
        const total = () => page.locator('.totals dd b').first().textContent()
        const before = Number((await total())?.replaceAll(',', ''))
        expect((await service.post('/internal/apikey-stats/flush', FLUSH)).status).toBe(200)
        expect(await eventually(total, (text) => text === String(before + 7))).toBe(
          String(before + 7),
        )

        await page.getByRole('button', { name: 'Sign out' }).click()
        await page.getByLabel('Token').waitFor()
        expect(await page.context().cookies()).toEqual([])
        expect(failed).toEqual([])
        expect(proxy.strays).toEqual([])
      } finally {
        await proxy.close()
      }
    })

    test(`the API page sends requests behind a proxy with the prefix ${form}`, async () => {
      const proxy = await startHttpProxy(console.service.url, BASE, form)
      try {
        const page = await console.open(null, { path: 'about:blank' })
        const failed = collectFailures(page, proxy)
        await page.goto(`${proxy.url}/swagger#/Operations/getHealthLive`)
        await page.getByRole('button', { name: 'Try it out' }).click()
        await page.getByRole('button', { name: 'Execute' }).click()
        await page.locator('.live-responses-table').getByText('"live"').waitFor()
        expect(await page.locator('.curl').textContent()).toContain(`${proxy.url}/health/live`)
        expect(failed).toEqual([])
        expect(proxy.strays).toEqual([])
      } finally {
        await proxy.close()
      }
    })
  }

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})

/** Collects failed responses of a page, and responses from outside the proxy's base URL. */
function collectFailures(
  page: Awaited<ReturnType<ReturnType<typeof useConsole>['open']>>,
  { url }: HttpProxy,
): string[] {
  const failed: string[] = []
  page.on('response', (response) => {
    if (response.status() >= 400) failed.push(`${response.status()} ${response.url()}`)
    else if (!response.url().startsWith(`${url}/`)) failed.push(`elsewhere: ${response.url()}`)
  })
  return failed
}
