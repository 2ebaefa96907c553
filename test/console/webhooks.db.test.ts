import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { Webhook } from 'standardwebhooks'
import { until } from '../support/until.ts'
import { type Receiver, startReceiver } from '../webhooks/receiver.ts'
import { hasBrowser, readRows, untilEqual, useConsole } from './browser.ts'

describe.skipIf(!hasBrowser)('webhooks', () => {
  const console = useConsole({ webhookNetworks: '127.0.0.0/8' })
  let receiver: Receiver
  beforeAll(async () => {
    receiver = await startReceiver()
    await console.service.putCatalog({
      keys: [{ token_hash: 'k', quota_limit: 100 }],
      rules: [
        { name: 'quota_80', kind: 'quota', percent: 80 },
        {
          ...{ name: 'fails', kind: 'success_rate', of: 'provider_group', id: 1 },
          ...{ below: 0.995, minutes: 15 },
        },
      ],
    })
  })
  afterAll(() => receiver.close())

  const rows = (page: Page, section: string, count: number) => async () =>
    (await readRows(page, section)).map((row) => row.slice(0, count))
  const untilRows = async (
    page: Page,
    section: string,
    expected: readonly (readonly string[])[],
  ) => {
    const read = rows(page, section, expected[0]!.length)
    expect(await untilEqual(read, expected as string[][])).toEqual(expected as string[][])
  }
  const confirm = (page: Page, action: string) =>
    page.getByRole('dialog').getByRole('button', { name: action, exact: true }).click()
  /** Reads the secret that a dialog shows, and closes it. */
  const readSecret = async (page: Page) => {
    const secret = await page.getByRole('dialog').getByLabel('Secret').inputValue()
    await confirm(page, 'It is stored')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    return secret
  }
  let secret = ''

  test('are created by an admin, who sees the secret once', async () => {
    const page = await console.visit('admin', '/webhooks')
    await page.getByRole('button', { name: 'Create a webhook' }).click()
    await page.getByLabel('Name').fill('pager')
    await page.getByLabel('URL').fill(receiver.url)
    await confirm(page, 'Create')
    secret = await readSecret(page)
    expect(secret).toStartWith('whsec_')
    await untilRows(page, 'All webhooks', [['pager', receiver.url, 'works', '0', '0']])
    expect(await page.content()).not.toContain(secret.slice(6))
  })

  test('are tested, and the outcome is shown', async () => {
    const page = await console.visit('admin', '/webhooks')
    await page.getByRole('button', { name: 'Send a test to pager' }).click()
    await confirm(page, 'Send')
    await page.getByText('The receiver: answered 204.').waitFor()
    const { body, headers } = receiver.received.at(-1)!
    expect(new Webhook(secret).verify(body, headers)).toMatchObject({ type: 'webhook.test' })
  })

  test('show what has crossed a rule, and what was sent of it', async () => {
    receiver.answer = 500
    const keys = [{ token_hash: 'k', requests: 1, tokens: 90 }]
    expect((await console.service.post('/internal/stats/flush', { keys })).status).toBe(200)
    const page = await console.visit('auditor', '/webhooks')
    await untilRows(page, 'All rules', [
      ['fails', 'less than 99.5 % of the requests of provider group 1 succeed in 15 min', 'clear'],
      ['quota_80', 'a token key has used 80 % of its quota', 'crossed'],
    ])
    const sent = 'token key k crossed quota_80'
    await untilRows(page, 'Deliveries', [[sent, 'pager', 'pending', '1', 'answered 500']])
    await untilRows(page, 'All webhooks', [['pager', receiver.url, 'answered 500', '1', '0']])
    expect(await page.getByRole('button', { name: 'Create a webhook' }).count()).toBe(0)
    expect(await page.getByRole('button', { name: 'Delete pager' }).count()).toBe(0)
    receiver.answer = 204
    await console.service.database.owner`update webhook_deliveries set next_attempt_at = now()`
    await untilRows(page, 'Deliveries', [[sent, 'pager', 'delivered', '2', 'answered 204']])
    await page.getByRole('link', { name: sent }).click()
    await page.getByText('RuleCrossed').first().waitFor()
  })

  test('get another secret, are disabled and deleted by an admin', async () => {
    const page = await console.visit('admin', '/webhooks')
    await page.getByRole('button', { name: 'Replace the secret of pager' }).click()
    await confirm(page, 'Replace it')
    const other = await readSecret(page)
    expect(other).not.toBe(secret)
    await untilRows(page, 'All webhooks', [['pager', receiver.url, 'works, two secrets']])
    await page.getByRole('button', { name: 'Disable pager' }).click()
    await confirm(page, 'Disable it')
    await untilRows(page, 'All webhooks', [['pager', receiver.url, 'disabled']])
    await page.getByRole('button', { name: 'Delete pager' }).click()
    await confirm(page, 'Delete it')
    await page.getByText('There is no webhook yet.').waitFor()
    await until(async () => (await page.getByText('Nothing was sent yet.').count()) === 1)
  })

  test('of rules: an admin adds, changes and ends them', async () => {
    const page = await console.visit('admin', '/webhooks')
    const quota = ['quota_80', 'a token key has used 80 % of its quota']
    await page.getByRole('button', { name: 'Add a rule' }).click()
    await page.getByLabel('Name').fill('key_fails')
    await page.getByLabel('Of', { exact: true }).selectOption('API key')
    await page.getByLabel('Number').fill('7')
    await page.getByLabel('Successful requests below').fill('94.7')
    await page.getByLabel('In the last minutes').fill('5')
    await confirm(page, 'Add')
    await untilRows(page, 'All rules', [
      ['fails', 'less than 99.5 % of the requests of provider group 1 succeed in 15 min'],
      ['key_fails', 'less than 94.7 % of the requests of API key 7 succeed in 5 min'],
      quota,
    ])
    const { items } = await console.service.read<{ items: object[] }>('/admin/rules')
    expect(items[1]).toMatchObject({ of: 'api_key', id: 7, below: 0.947, min_requests: 20 })

    // A change replaces the rule, here by one of another kind.
    await page.getByRole('button', { name: 'Change key_fails' }).click()
    expect(await page.getByLabel('Successful requests below').inputValue()).toBe('94.7')
    await page.getByLabel('It is crossed when').selectOption('a quota is nearly used')
    await page.getByLabel('Used, in %').fill('100')
    await page.getByLabel('Token hash').fill('k')
    await confirm(page, 'Change')
    await untilRows(page, 'All rules', [
      ['fails', 'less than 99.5 % of the requests of provider group 1 succeed in 15 min'],
      ['key_fails', 'k has used 100 % of its quota'],
      quota,
    ])
    for (const name of ['key_fails', 'fails']) {
      await page.getByRole('button', { name: `End ${name}` }).click()
      await confirm(page, 'End it')
      await page.getByRole('dialog').waitFor({ state: 'detached' })
    }
    await untilRows(page, 'All rules', [quota])

    // A name that is none is refused before it is sent.
    await page.getByRole('button', { name: 'Add a rule' }).click()
    await page.getByLabel('Name').fill('silent')
    await page.getByLabel('It is crossed when').selectOption('a source falls silent')
    await page.getByLabel('Source').fill('x'.repeat(255))
    await page.getByLabel('Name').fill('No')
    await confirm(page, 'Add')
    expect(await page.getByRole('dialog').count()).toBe(1)
    await page.getByLabel('Name').fill('silent')
    await confirm(page, 'Add')
    await page.getByText('falls silent', { exact: false }).first().waitFor()
    const auditor = await console.visit('auditor', '/webhooks')
    await untilRows(auditor, 'All rules', [quota, ['silent', `${'x'.repeat(255)} falls silent`]])
    expect(await auditor.getByRole('button', { name: 'Add a rule' }).count()).toBe(0)
    expect(await auditor.getByRole('button', { name: 'End silent' }).count()).toBe(0)
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
