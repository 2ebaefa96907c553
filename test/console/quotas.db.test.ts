import { beforeAll, describe, expect, test } from 'bun:test'
import { eventually, hasBrowser, useConsole } from './browser.ts'
import { slowReads } from './slow-reads.ts'

describe.skipIf(!hasBrowser)('the quota of a token key', () => {
  const console = useConsole()
  beforeAll(async () => {
    await console.service.putCatalog({
      keys: [{ token_hash: 'abc', name: 'alice', quota_limit: 100 }],
    })
    const keys = [{ token_hash: 'abc', requests: 1, tokens: 60 }]
    await console.service.post('/internal/stats/flush', { keys })
  })

  type Row = { quota_used: number; quota_period?: string; quota_tz?: string }
  const read = () => console.service.read<Row>('/admin/keys/abc')

  test('gets a period and a time zone', async () => {
    const page = await console.visit('admin', '/keys/abc')
    await page.getByRole('heading', { name: 'alice' }).waitFor()
    const reads = await slowReads(page, '/admin/keys/abc')
    await page.getByRole('button', { name: 'Change' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('The quota begins anew').selectOption('month')
    await dialog.getByLabel('Time zone').fill('Europe/Berlin')
    await dialog.getByRole('button', { name: 'Change' }).click()
    await dialog.waitFor({ state: 'detached' })
    expect(await read()).toMatchObject({ quota_period: 'month', quota_tz: 'Europe/Berlin' })
    // The dialog shows them, and leaves them as they are.
    await page.getByRole('button', { name: 'Change' }).click()
    expect(await dialog.getByLabel('The quota begins anew').inputValue()).toBe('month')
    expect(await dialog.getByLabel('Time zone').inputValue()).toBe('Europe/Berlin')
    await reads.end()
  })

  test('is reset by an admin, who gives a reason', async () => {
    const page = await console.visit('admin', '/keys/abc')
    await page.getByRole('button', { name: 'Reset quota' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Reason').fill('new contract')
    await dialog.getByRole('button', { name: 'Reset it' }).click()
    await dialog.waitFor({ state: 'detached' })
    expect((await read()).quota_used).toBe(0)
    const used = page.locator('dl.totals div', { hasText: 'Quota used' }).locator('b')
    expect(
      await eventually(
        async () => used.textContent(),
        (text) => text === '0',
      ),
    ).toBe('0')
    const { items } = await console.service.read<{ items: { payload: { reason: string } }[] }>(
      '/audit/events?type=QuotaReset',
    )
    expect(items.map(({ payload }) => payload.reason)).toEqual(['new contract'])
  })

  test('is not reset by an auditor', async () => {
    const page = await console.visit('auditor', '/keys/abc')
    await page.getByRole('heading', { name: 'alice' }).waitFor()
    expect(await page.getByRole('button', { name: 'Reset quota' }).count()).toBe(0)
  })
})
