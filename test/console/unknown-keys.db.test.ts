import { beforeAll, describe, expect, test } from 'bun:test'
import type { Page, Route } from 'playwright-core'
import { fill, hasBrowser, readRows, settle, untilEqual, useConsole } from './browser.ts'
import { loseAnswer } from './lost-answer.ts'

describe.skipIf(!hasBrowser)('unknown keys', () => {
  const console = useConsole()
  beforeAll(() => fill(console.service, { groups: 2, keys: 2 }))

  const flush = async (keys: object[]) =>
    expect((await console.service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)

  const totalOf = async (id: string) =>
    (await console.service.read<{ total_requests: number }>(`/admin/api-keys/${id}`)).total_requests

  const dialogOf = (page: Page) => page.getByRole('dialog')
  const noticeOf = (page: Page) => page.getByRole('status').filter({ hasText: 'Adopted' })

  async function visit(role: 'admin' | 'auditor', search = ''): Promise<Page> {
    const page = await console.visit(role, `/unknown-keys${search}`)
    await settle(page)
    return page
  }

  /** The names, requests and flushes that the page lists. */
  const listed =
    (page: Page, first = 1) =>
    async () =>
      (await readRows(page, 'All unknown keys')).map((cells) => cells.slice(first, first + 3))

  /** Chooses keys, and opens the dialog. */
  async function ask(page: Page, ...names: string[]) {
    for (const name of names) {
      await page.getByRole('checkbox', { name: `Adopt ${name}`, exact: true }).check()
    }
    await page.getByRole('button', { name: 'Adopt chosen' }).click()
    return dialogOf(page).getByRole('button', { name: 'Adopt', exact: true })
  }

  test('without unknown keys the page says so', async () => {
    const page = await visit('admin')
    await page.getByText('No unknown API key.').waitFor()
    expect(await page.getByRole('button', { name: 'Adopt chosen' }).isDisabled()).toBe(true)
    await page.getByRole('button', { name: 'Token keys' }).click()
    await page.getByText('No unknown token key.').waitFor()
  })

  test('an auditor sees the list, and no way to change it', async () => {
    await flush([
      { api_key: 'sk-9f', requests: 5, success_requests: 4 },
      { api_key: 'sk-9f', requests: 2, success_requests: 2 },
      { api_key_id: 70, requests: 3 },
    ])
    await flush([{ api_key: 'sk-9f', requests: 1 }])
    const page = await visit('auditor')
    const expected = [
      ['sk-9f', '8', '2'],
      ['#70', '3', '1'],
    ]
    expect(await untilEqual(listed(page, 0), expected)).toEqual(expected)
    await page.getByRole('button', { name: 'Key', exact: true }).click()
    expect(await untilEqual(listed(page, 0), expected.toReversed())).toEqual(expected.toReversed())
    expect(await page.getByRole('checkbox').count()).toBe(0)
    expect(await page.getByRole('button', { name: 'Adopt' }).count()).toBe(0)
  })

  test('an admin adopts a key by its external id, and sees what was counted', async () => {
    const page = await visit('admin')
    const button = await ask(page, 'sk-9f')
    await dialogOf(page).getByText('8 requests so far').waitFor()
    expect(await dialogOf(page).getByLabel('External id').inputValue()).toBe('sk-9f')
    await dialogOf(page).getByLabel('Provider group').fill('1')
    await dialogOf(page).getByLabel('Name').fill('found')
    await button.click()
    await noticeOf(page).filter({ hasText: 'Adopted sk-9f. Counted 8 requests: event' }).waitFor()
    const isFocused = (element: Element) => element === document.activeElement
    expect(await noticeOf(page).evaluate(isFocused)).toBe(true)
    const left = [['#70', '3', '1']]
    expect(await untilEqual(listed(page), left)).toEqual(left)
    expect(await console.service.read('/admin/api-keys/ext:sk-9f')).toMatchObject({
      ...{ group_id: 1, name: 'found', total_requests: 8, success_requests: 6 },
    })

    await noticeOf(page).getByRole('link').click()
    await page.getByText('adopts 8 requests of 1 API key').waitFor()
    const entries = await readRows(page, 'Entries by account')
    expect(entries.map((cells) => cells.slice(3, 5))).toEqual([
      ['8', '6'],
      ['8', '6'],
    ])
    // An adoption can't be reversed.
    expect(await page.getByRole('button', { name: 'Reverse' }).count()).toBe(0)
    const { id } = await console.service.read<{ id: number }>('/admin/api-keys/ext:sk-9f')
    await console.visit('admin', `/api-keys/${id}`)
    await page.getByText('The events behind the number').click()
    const whats = () => page.locator('.explained tbody tr td:nth-child(2)').allTextContents()
    expect(await untilEqual(whats, ['adoption'])).toEqual(['adoption'])
  })

  test('a retry after a lost answer counts nothing twice', async () => {
    const page = await visit('admin')
    await loseAnswer(page, '/admin/unknown-keys/adopt')
    const button = await ask(page, '#70')
    expect(await dialogOf(page).getByLabel('Number').inputValue()).toBe('70')
    await dialogOf(page).getByLabel('External id').fill('sk-70')
    await button.click()
    await dialogOf(page).getByText('The service is unreachable.').waitFor()
    await button.click()
    await noticeOf(page).filter({ hasText: 'Adopted #70. Nothing was left to count.' }).waitFor()
    expect(await totalOf('ext:sk-70')).toBe(3)
  })

  test('a conflict with the catalog is shown, and the dialog stays', async () => {
    await flush([{ api_key_id: 71, requests: 1 }])
    const page = await visit('admin')
    const button = await ask(page, '#71')
    await dialogOf(page).getByLabel('External id').fill('sk-70')
    await button.click()
    await dialogOf(page).getByText('external_id is that of another row').waitFor()
    expect(await dialogOf(page).getByLabel('External id').inputValue()).toBe('sk-70')
    await dialogOf(page).getByRole('button', { name: 'Cancel' }).click()
    await dialogOf(page).waitFor({ state: 'detached' })
    expect(await noticeOf(page).count()).toBe(0)
  })

  test('several keys are adopted at once', async () => {
    await flush([{ api_key: 'sk-a', requests: 10 }])
    const page = await visit('admin')
    const button = await ask(page, '#71', 'sk-a')
    await dialogOf(page).getByText('11 requests so far').waitFor()
    expect(await dialogOf(page).getByLabel('Name').count()).toBe(0)
    await dialogOf(page).getByLabel('Provider group').fill('2')
    await button.click()
    await noticeOf(page).filter({ hasText: 'Adopted 2 API keys. Counted 11 requests' }).waitFor()
    expect(await console.service.read('/admin/api-keys/71')).toMatchObject({ group_id: 2 })
    expect(await totalOf('ext:sk-a')).toBe(10)
    await page.getByText('No unknown API key.').waitFor()
  })

  test('an adoption goes on while the service reads the log', async () => {
    await flush([{ api_key: 'sk-long-ago', requests: 2 }])
    const page = await visit('admin')
    const isReading = (route: Route) =>
      route.fulfill({ status: 503, json: { error: 'reading the log' } })
    await page.route('**/unknown-keys/adopt', isReading, { times: 1 })
    await (await ask(page, 'sk-long-ago')).click()
    await dialogOf(page).getByRole('status').waitFor()
    await noticeOf(page).waitFor()
    expect(await totalOf('ext:sk-long-ago')).toBe(2)
  })

  test('a token key is adopted with a quota limit', async () => {
    const keys = [{ token_hash: 'hash/new', requests: 2, tokens: 30 }]
    await console.service.post('/internal/stats/flush', { keys })
    const page = await visit('admin', '?kind=key')
    const expected = [['hash/new', '2', '1']]
    expect(await untilEqual(listed(page), expected)).toEqual(expected)
    const button = await ask(page, 'hash/new')
    expect(await dialogOf(page).getByLabel('Token hash').inputValue()).toBe('hash/new')
    await dialogOf(page).getByLabel('Quota').fill('100')
    await button.click()
    await noticeOf(page).filter({ hasText: 'Adopted hash/new. Counted 2 requests' }).waitFor()
    expect(await console.service.read('/admin/keys/hash%2Fnew')).toMatchObject({
      ...{ request_count: 2, used_tokens: 30, quota_limit: 100, quota_used: 30 },
    })
  })

  test('keys beyond the bound are summed up', async () => {
    // As after more than 100,000 of them.
    await console.service.database.owner`
      insert into tallybook.unknown_keys
        (shard, generation, kind, name, number, requests, flushes, first_seen, last_seen)
      select 0, p.generation, 'api_key', '', 0, 12345, 2, now(), now()
      from tallybook.projections p
      where p.projection = 'bookkeeping'
      on conflict (shard, generation, kind, name) do update set
        requests = excluded.requests, flushes = excluded.flushes`
    const page = await visit('auditor')
    await page.getByText('Other API keys, which are too many to list: 12,345 requests.').waitFor()
  })

  test('a page of the past lists none', async () => {
    const page = await visit('admin', '?as_of_position=0/1')
    await page.getByText('Unknown keys are not listed as of the past.').waitFor()
    expect(await page.getByRole('checkbox').count()).toBe(0)
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
