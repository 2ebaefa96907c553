import { beforeAll, describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { COLUMNS } from '../../src/console/page/bookkeeping/balances.ts'
import {
  eventually,
  fill,
  hasBrowser,
  readRows,
  settle,
  untilEqual,
  useConsole,
} from './browser.ts'
import { loseAnswer } from './lost-answer.ts'

type Correction = { position: string; reason: string; reversed: string | null }

describe.skipIf(!hasBrowser)('opening balances and corrections', () => {
  const console = useConsole()
  beforeAll(() => fill(console.service, { groups: 2, keys: 2 }))

  const corrections = async () =>
    (await console.service.read<{ items: Correction[] }>('/admin/corrections?limit=1000')).items

  const requestsOf = async (id: number) =>
    (await console.service.read<{ total_requests: number }>(`/admin/api-keys/${id}`)).total_requests

  /** Posts a flush of 5 requests of API key 1. Returns its position. */
  async function flush(): Promise<string> {
    const response = await console.service.post('/internal/apikey-stats/flush', {
      keys: [{ api_key_id: 1, requests: 5, success_requests: 5 }],
    })
    expect(response.status).toBe(200)
    return response.headers.get('tallybook-position')!
  }

  const dialogOf = (page: Page) => page.getByRole('dialog')

  async function openReverse(page: Page, reason: string) {
    await page.getByRole('button', { name: 'Reverse' }).click()
    await dialogOf(page).getByLabel('Reason').fill(reason)
    return dialogOf(page).getByRole('button', { name: 'Reverse it' })
  }

  /** Chooses a file of balances in an open dialog, and fills in the other fields. */
  async function fillBalances(page: Page, ...rows: string[]) {
    await choose(page, [COLUMNS.join(','), ...rows].join('\r\n'))
    await dialogOf(page).getByLabel('Counted until').fill('2026-01-31T12:00:00')
    await dialogOf(page).getByLabel('Older system').fill('ez-api')
    return dialogOf(page).getByRole('button', { name: 'Open them' })
  }

  const choose = (page: Page, text: string) =>
    dialogOf(page)
      .getByLabel('CSV file')
      .setInputFiles({ name: 'b.csv', mimeType: 'text/csv', buffer: Buffer.from(text) })

  async function visitCorrections(): Promise<Page> {
    const page = await console.visit('admin', '/corrections')
    await settle(page)
    return page
  }

  test('a log without corrections says so', async () => {
    const page = await visitCorrections()
    await page.getByText('No correction yet.').waitFor()
  })

  test('an admin reverses a flush, and sees it on every page', async () => {
    const before = await requestsOf(1)
    const position = await flush()
    const page = await console.visit('admin', `/events/${position}`)
    await (await openReverse(page, 'posted twice')).click()
    const notice = page.getByRole('status').filter({ hasText: 'Reversed by event' })
    await notice.waitFor()
    expect(await notice.evaluate((element) => element === document.activeElement)).toBe(true)
    expect(await page.getByRole('button', { name: 'Reverse' }).count()).toBe(0)
    expect(await requestsOf(1)).toBe(before)
    const [correction] = await corrections()
    expect(correction).toMatchObject({ reason: 'posted twice', reversed: position })

    await notice.getByRole('link').click()
    await page.getByText(`reverses ${position}: posted twice`).waitFor()
    expect(await page.getByRole('button', { name: 'Reverse' }).count()).toBe(0)
    const columns = page.getByRole('region', { name: 'Columns' })
    await columns.getByRole('link', { name: position, exact: true }).waitFor()
    const entries = await readRows(page, 'Entries by account')
    expect(entries.every((cells) => cells.includes('–') && cells.includes('-5'))).toBe(true)

    await page.getByRole('link', { name: 'Corrections' }).click()
    const row = async () => (await readRows(page, 'All corrections')).map(([, , ...rest]) => rest)
    const expected = [['admin', `reversal of ${position}`, 'posted twice']]
    expect(await untilEqual(row, expected)).toEqual(expected)

    await console.visit('admin', '/api-keys/1')
    await page.getByText('The events behind the number').click()
    const whats = () => page.locator('.explained tbody tr td:nth-child(2)').allTextContents()
    const all = ['flush', 'flush', 'reversal']
    expect(await untilEqual(whats, all)).toEqual(all)
  })

  test('two clicks reverse once', async () => {
    const position = await flush()
    const page = await console.visit('admin', `/events/${position}`)
    await (await openReverse(page, 'two clicks')).dblclick()
    await page.getByText('Reversed by event').waitFor()
    const made = (await corrections()).filter(({ reason }) => reason === 'two clicks')
    expect(made).toHaveLength(1)
  })

  test('a retry after a lost answer reverses once', async () => {
    const position = await flush()
    const page = await console.visit('admin', `/events/${position}`)
    await loseAnswer(page, '/admin/corrections')
    const button = await openReverse(page, 'no answer')
    await button.click()
    await dialogOf(page).getByText('The service is unreachable.').waitFor()
    expect((await corrections())[0]).toMatchObject({ reason: 'no answer', reversed: position })
    await button.click()
    await page.getByText('Reversed by event').waitFor()
    const made = (await corrections()).filter(({ reversed }) => reversed === position)
    expect(made).toHaveLength(1)
    await page.getByRole('link', { name: made[0]!.position, exact: true }).waitFor()
  })

  test('a changed retry after a lost answer says that the first attempt was recorded', async () => {
    const position = await flush()
    const page = await console.visit('admin', `/events/${position}`)
    await loseAnswer(page, '/admin/corrections')
    const button = await openReverse(page, 'first')
    await button.click()
    await dialogOf(page).getByText('The service is unreachable.').waitFor()
    await dialogOf(page).getByLabel('Reason').fill('second')
    await button.click()
    await dialogOf(page).getByText('What you entered before was recorded').waitFor()
    expect((await corrections())[0]).toMatchObject({ reason: 'first', reversed: position })
    await page.keyboard.press('Escape')
  })

  test('an event that someone else has just reversed is refused, and the reason stays', async () => {
    const position = await flush()
    const page = await console.visit('admin', `/events/${position}`)
    const button = await openReverse(page, 'again')
    const by = await console.service.act('/admin/corrections', { reverse: position, reason: 'a' })
    await button.click()
    await dialogOf(page).getByText(`It was reversed by ${by}.`).waitFor()
    expect(await dialogOf(page).getByLabel('Reason').inputValue()).toBe('again')
    await dialogOf(page).getByRole('button', { name: 'Cancel' }).click()
    await dialogOf(page).waitFor({ state: 'detached' })
    expect(await page.getByText('Reversed by event').count()).toBe(0)
    // The page has noticed.
    await page.getByRole('link', { name: by, exact: true }).waitFor()
    expect(await page.getByRole('button', { name: 'Reverse' }).count()).toBe(0)
  })

  test('an auditor sees corrections, and no button that makes one', async () => {
    const position = await flush()
    const page = await console.visit('auditor', `/events/${position}`)
    await page.getByRole('region', { name: 'Entries by account' }).waitFor()
    expect(await page.getByRole('button', { name: 'Reverse' }).count()).toBe(0)
    await console.visit('auditor', '/corrections')
    await page.getByText('posted twice').waitFor()
    expect(await page.getByRole('button', { name: /Open balances|Adjust/ }).count()).toBe(0)
  })

  test('an admin opens balances from a CSV file, once, after a lost answer too', async () => {
    const before = await requestsOf(2)
    const page = await visitCorrections()
    await page.getByRole('button', { name: 'Open balances' }).click()
    const button = await fillBalances(
      page,
      'provider_group,1,3000,2000,,,',
      'api_key,1,1000,900,,,',
      'api_key,2,2000,1100,,,',
      'key,hash-a,3,,50,40,1700000000',
    )
    const summary = dialogOf(page).getByRole('status', { name: 'Rows of the file' })
    expect(await summary.locator('li').allTextContents()).toEqual([
      '1 provider group requests 3,000 · successes 2,000',
      '2 API keys requests 3,000 · successes 2,000',
      '1 token key requests 3 · tokens 50 · quota used 40',
    ])
    await loseAnswer(page, '/admin/balances')
    await button.click()
    await dialogOf(page).getByText('The service is unreachable.').waitFor()
    await button.click()
    await page.getByText('Opened the balances of 1 provider group, 2 API keys, 1').waitFor()
    expect(await requestsOf(2)).toBe(before + 2_000)

    await page.getByRole('status').getByRole('link').click()
    await page.getByText('opening balances of 1 provider group, 2 API keys, 1 token').waitFor()
    const entries = await eventually(
      () => readRows(page, 'Entries by account'),
      ({ length }) => length === 4,
    )
    expect(entries[0]).toEqual(['1', '–', '–', '3000', '2000', '–', '–', '–'])
    expect(entries[3]).toEqual(['–', '–', 'hash-a', '3', '–', '50', '40', '1700000000'])
    const group = page.getByRole('region', { name: 'Entries by account' }).getByRole('link').first()
    expect(await group.getAttribute('href')).toBe('/groups/1')
    await page.getByRole('button', { name: 'Reverse' }).waitFor()
  })

  test('the service names the rows that are unknown or open', async () => {
    const page = await visitCorrections()
    await page.getByRole('button', { name: 'Open balances' }).click()
    await (await fillBalances(page, 'key,nobody,3,,50,40,')).click()
    await dialogOf(page).getByText('Not in the catalog: token key nobody.').waitFor()
    await (await fillBalances(page, 'key,hash-a,3,,50,40,')).click()
    await dialogOf(page).getByText('Balances were opened before for: token key hash-a.').waitFor()
    await page.keyboard.press('Escape')
  })

  test('a bad file is refused with the line, and can be replaced by a good one', async () => {
    const page = await visitCorrections()
    await page.getByRole('button', { name: 'Open balances' }).click()
    const requests: string[] = []
    page.on('request', (request) => requests.push(request.url()))
    const button = await fillBalances(page, 'key,hash-b,3,,50,40,', 'key,hash-c,x,,50,40,')
    await dialogOf(page)
      .getByText(/^Line 3: requests has to be a whole number/)
      .waitFor()
    await button.click()
    await dialogOf(page).getByText('Choose a file without a fault.').waitFor()
    expect(requests.filter((url) => url.endsWith('/balances'))).toEqual([])
    await choose(page, '\ufeffkind,id,requests\n"key","hash-b')
    await dialogOf(page).getByText('Line 2: a quotation mark is never closed.').waitFor()
    await (await fillBalances(page, 'key,hash-b,3,,50,40,')).click()
    await page.getByText('Opened the balances of 1 token key').waitFor()
  })

  test('an admin adjusts totals, but not below zero', async () => {
    const before = await requestsOf(3)
    const page = await visitCorrections()
    await page.getByRole('button', { name: 'Adjust' }).click()
    const dialog = dialogOf(page)
    const button = dialog.getByRole('button', { name: 'Adjust' })
    await dialog.getByLabel('Number').fill('3')
    await dialog.getByLabel('Reason').fill('counted by hand')
    await button.click()
    await dialog.getByText('Enter a difference.').waitFor()
    await dialog.getByLabel('Requests').fill('-1000000')
    await button.click()
    await dialog.getByText(/below zero.*API key 3/).waitFor()
    await dialog.getByLabel('Requests').fill('-1')
    await loseAnswer(page, '/admin/corrections')
    await button.click()
    await dialog.getByText('The service is unreachable.').waitFor()
    await button.click()
    await page.getByText('Adjusted totals: event').waitFor()
    expect(await requestsOf(3)).toBe(before - 1)

    await page.getByRole('button', { name: 'Adjust' }).click()
    await dialog.getByLabel('Kind').selectOption('Token key')
    await dialog.getByLabel('Token hash').fill('hash-b')
    await dialog.getByLabel('Tokens').fill('7')
    await dialog.getByLabel('Reason').fill('tokens were missing')
    await button.click()
    const newest = async () => (await readRows(page, 'All corrections'))[0]?.slice(2)
    const expected = ['admin', 'adjustment', 'tokens were missing']
    expect(await untilEqual(newest, expected)).toEqual(expected)
    const key = await console.service.read<{ used_tokens: number }>('/admin/keys/hash-b')
    expect(key.used_tokens).toBe(50 + 50 + 7)
  })

  test('more corrections are loaded as the list scrolls', async () => {
    for (let i = 0; i < 110; i++) {
      await console.service.act('/admin/corrections', {
        adjust: { api_keys: [{ id: 1, total_requests: 1, success_requests: 1 }] },
        reason: `adjusted ${i}`,
      })
    }
    const count = (await corrections()).length
    const page = await visitCorrections()
    const table = page.getByRole('region', { name: 'All corrections' }).locator('table')
    const oldest = page.getByText('posted twice')
    const isAtEnd = async () => {
      await page.mouse.wheel(0, 10_000)
      return (await oldest.count()) === 1
    }
    expect(await eventually(isAtEnd, Boolean)).toBe(true)
    expect(await table.getAttribute('aria-rowcount')).toBe(String(count + 1))
  })

  test('a page of the past lists the corrections until then, and offers none', async () => {
    const all = await corrections()
    const { position } = all[all.findIndex(({ reason }) => reason === 'two clicks')]!
    const page = await console.visit('admin', `/corrections?as_of_position=${position}`)
    const reasons = async () => (await readRows(page, 'All corrections')).map((row) => row.at(-1))
    expect(await untilEqual(reasons, ['two clicks', 'posted twice'])).toHaveLength(2)
    expect(await page.getByRole('button', { name: /Open balances|Adjust/ }).count()).toBe(0)
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
