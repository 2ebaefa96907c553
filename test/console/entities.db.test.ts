import { beforeAll, describe, expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import { insertEmptyFlushes, insertEvent } from '../support/events.ts'
import {
  eventually,
  fill,
  hasBrowser,
  readRows,
  titleOf,
  untilEqual,
  useConsole,
} from './browser.ts'

/** More than a page, and more than the service returns at once. */
const KEYS = 1_100

describe.skipIf(!hasBrowser)('groups and keys', () => {
  const console = useConsole()
  beforeAll(() => fill(console.service, { groups: 2, keys: KEYS }))

  test('a group lists all its keys, with only a few rows in the document', async () => {
    const page = await console.visit('auditor', '/groups/2')
    await page.getByRole('heading', { name: 'group 2' }).waitFor()
    const section = page.getByRole('region', { name: 'API keys of this group' })
    await section.getByRole('link').first().waitFor()
    const scrolled = await eventually(
      async () => {
        await page.mouse.wheel(0, 60_000)
        return Number(await section.locator('table').getAttribute('aria-rowcount')) - 1
      },
      (count) => count === KEYS,
    )
    expect(scrolled).toBe(KEYS)
    expect((await readRows(page, 'API keys of this group')).length).toBeLessThan(120)
    const last = section.locator(`tr[aria-rowindex="${KEYS + 1}"]`)
    await eventually(
      async () => {
        await page.mouse.wheel(0, 60_000)
        return last.count()
      },
      (count) => count === 1,
    )
    // All keys have the same counts, so their ids decide.
    expect(await last.getByRole('link').textContent()).toBe('key 1 of group 2')
  })

  test('search finds a key by its name among all of them', async () => {
    const page = await console.visit('auditor', '/groups/2')
    await page.getByLabel('Find a key').fill('key 777 ')
    const rows = await eventually(
      () => readRows(page, 'API keys of this group'),
      ({ length }) => length === 1,
    )
    expect(rows.map(([name]) => name)).toEqual(['key 777 of group 2'])
    expect(new URL(page.url()).searchParams.get('q')).toBe('key 777')
    await page.getByRole('link', { name: 'key 777 of group 2' }).click()
    await page.getByRole('heading', { name: 'key 777 of group 2' }).waitFor()
    await page.getByRole('link', { name: 'group #2' }).waitFor()
  })

  test('the events behind a number are listed and link to their events', async () => {
    const page = await console.visit('auditor', '/api-keys/1')
    await page.getByText('The events behind the number').click()
    const row = page.locator('.explained tbody tr').first()
    const numbers = async () => {
      const [, what, , ...others] = await row.locator('td').allTextContents()
      return [what, ...others]
    }
    const expected = ['flush', 'dp', '100', '99', '100']
    expect(await untilEqual(numbers, expected)).toEqual(expected)
    await row.getByRole('link').click()
    await page.getByText('ApiKeyStatsFlushed').first().waitFor()
  })

  test('a flush behind a number is found after any number of other flushes', async () => {
    const { service } = console
    await service.putCatalog({ api_keys: [{ id: 80_001, group_id: 1, name: 'a late one' }] })
    // More than the service scans at once: its first page is empty, but not the last one.
    await insertEmptyFlushes(service.database.owner, 0, 20_100)
    await insertEvent(service.database.owner, {
      ...{ shard: 0, type: 'ApiKeyStatsFlushed' },
      payload: JSON.stringify({
        ...{ ids: [80_001], groups: [1], counts: [1], requests: [7], successes: [7] },
      }),
    })
    const page = await console.visit('auditor', '/api-keys/80001')
    await page.getByText('The events behind the number').click()
    // The list is read once more when it is complete, and shows placeholders until then.
    const row = page.locator('.explained tbody tr').first()
    const numbers = async () => (await row.locator('td').allTextContents()).slice(4)
    expect(await untilEqual(numbers, ['7', '7', '7'])).toEqual(['7', '7', '7'])
  })

  test('a token key shows its quota, its usage and its last access', async () => {
    const page = await console.visit('auditor', '/keys')
    await page.getByRole('link', { name: 'limited' }).waitFor()
    const rows = await readRows(page, 'All token keys')
    expect(rows[0]!.slice(0, 3)).toEqual(['limited', '4', '900'])
    expect(rows[0]![3]).toContain('90%')
    expect(rows[1]!.slice(3)).toEqual(['unlimited', 'never'])
    await page.getByRole('link', { name: 'limited' }).click()
    await page.getByText('of 1,000').waitFor()
    await page.getByText('last accessed Sep 21, 2026').waitFor()
  })

  test('an admin adds, renames, moves and ends a key, each after confirmation', async () => {
    const page = await console.visit('admin', '/groups/1')
    await page.getByRole('button', { name: 'Add' }).click()
    await page.getByLabel('Number').fill('90001')
    await page.getByLabel('Name').fill('a new one')
    await page.getByRole('dialog').getByRole('button', { name: 'Add' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.goto('/api-keys/90001')
    await page.getByRole('heading', { name: 'a new one' }).waitFor()
    await page.getByRole('link', { name: 'group #1' }).waitFor()

    await page.getByRole('button', { name: 'Change' }).click()
    await page.getByLabel('Name').fill('moved')
    await page.getByLabel('Provider group').fill('2')
    await page.getByRole('dialog').getByRole('button', { name: 'Change' }).click()
    await page.getByRole('heading', { name: 'moved' }).waitFor()
    await page.getByRole('link', { name: 'group #2' }).waitFor()

    await page.getByRole('button', { name: 'End' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    const read = async () => console.service.fetch('admin', '/admin/api-keys/90001')
    expect((await read()).status).toBe(200)
    await page.getByRole('button', { name: 'End' }).click()
    await page.getByRole('button', { name: 'End it' }).click()
    await page.getByText('ended').waitFor()
    expect((await read()).status).toBe(404)
  })

  test('a dialog shows why the service refused a change, and keeps the input', async () => {
    const page = await console.visit('admin', '/keys')
    await page.getByRole('button', { name: 'Add' }).click()
    await page.getByLabel('Token hash').fill('x\u2028y')
    await page.getByLabel('Quota, in tokens').fill('12')
    await page.route('**/admin/catalog', (route) => route.fulfill({ status: 503, body: '{}' }))
    await page.getByRole('dialog').getByRole('button', { name: 'Add' }).click()
    await page.getByRole('dialog').getByRole('alert').waitFor()
    expect(await page.getByLabel('Quota, in tokens').inputValue()).toBe('12')
  })

  test('CSV contains the whole list, not only the rows scrolled to', async () => {
    const page = await console.visit('auditor', '/groups/2?sort=id')
    const section = page.getByRole('region', { name: 'API keys of this group' })
    await section.getByRole('link').first().waitFor()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      section.getByRole('button', { name: 'CSV' }).click(),
    ])
    const lines = (await readFile(await download.path(), 'utf8')).trimEnd().split('\r\n')
    expect(lines).toHaveLength(KEYS + 1)
    expect(lines[0]).toStartWith('\ufeffid,external_id,group_id,')
    expect(lines[1]).toStartWith(`${KEYS + 1},,2,key 1 of group 2,200,196,4,`)
  })

  test('an entity that does not exist is reported as not found', async () => {
    for (const [path, what, place] of [
      ['/groups/4711', 'provider group #4711', 'the overview'],
      ['/api-keys/4711', 'API key #4711', 'the API keys'],
      ['/keys/nobody', 'token key of that hash', 'the token keys'],
      ['/events/0/999999', 'event 0/999999 yet', 'the log'],
    ] as const) {
      const page = await console.visit('auditor', path)
      await page.getByText(`There is no ${what}.`).waitFor()
      expect(await titleOf(page, 'Not found · Tallybook')).toBe('Not found · Tallybook')
      await page.getByRole('link', { name: `Go to ${place}` }).waitFor()
    }
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
