import { beforeAll, describe, expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { eventually, fill, hasBrowser, readRows, useConsole, watchTotal } from './browser.ts'

const GROUPS = 'Provider groups'

describe.skipIf(!hasBrowser)('the overview', () => {
  const console = useConsole()
  beforeAll(() => fill(console.service, { groups: 3, keys: 4 }))

  const totals = (page: Page) => page.locator('.totals dd b').allTextContents()
  const firstColumn = async (page: Page) => (await readRows(page, GROUPS)).map(([first]) => first)

  test('shows the counts and their position', async () => {
    const page = await console.visit('auditor')
    const expected = ['2,400', '2,344', '56']
    expect(
      await eventually(
        () => totals(page),
        (found) => `${found}` === `${expected}`,
      ),
    ).toEqual(expected)
    const summary = await console.service.fetch('admin', '/admin/apikey-stats/summary')
    const position = summary.headers.get('tallybook-position')!
    await page.getByText(`at ${position}`).waitFor()
  })

  test('groups are sorted by a column or with the worst first, and found by name', async () => {
    const page = await console.visit('auditor')
    await page.getByRole('link', { name: 'group 3' }).waitFor()
    expect(await firstColumn(page)).toEqual(['group 3', 'group 2', 'group 1'])
    await page.getByRole('button', { name: 'Group', exact: true }).click()
    await page
      .getByRole('columnheader', { name: 'Group' })
      .and(page.locator('[aria-sort]'))
      .waitFor()
    expect(
      await eventually(
        () => firstColumn(page),
        ([first]) => first === 'group 1',
      ),
    ).toEqual(['group 1', 'group 2', 'group 3'])
    // n² of 100 × n requests failed: 1, 2 and 3 per cent.
    await page.getByRole('button', { name: 'Worst first' }).click()
    expect(
      await eventually(
        () => firstColumn(page),
        ([first]) => first === 'group 3',
      ),
    ).toEqual(['group 3', 'group 2', 'group 1'])
    expect((await readRows(page, GROUPS))[0]![3]).toContain('97.00%')
    await page.getByLabel('Find a group').fill('GROUP 2')
    expect(
      await eventually(
        () => firstColumn(page),
        ({ length }) => length === 1,
      ),
    ).toEqual(['group 2'])
    await page.getByLabel('Find a group').fill('nobody')
    await page.getByText('No group matches this search.').waitFor()
  })

  test('updates without flicker: numbers only grow, and nothing is ever empty', async () => {
    const page = await console.visit('auditor')
    await eventually(
      () => totals(page),
      ([first]) => first === '2,400',
    )
    await page.getByRole('link', { name: 'group 1' }).waitFor()
    const readShown = await watchTotal(page, 3)
    for (const expected of ['2,550', '2,700']) {
      for (let i = 0; i < 15; i++) {
        await console.service.post('/internal/apikey-stats/flush', {
          keys: [{ api_key_id: 1, requests: 10, success_requests: 10 }],
        })
      }
      await eventually(
        () => totals(page),
        ([first]) => first === expected,
      )
    }
    const numbers = await readShown()
    expect(numbers.filter((number) => !(number > 0))).toEqual([])
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    expect(numbers.at(-1)).toBe(2_700)
    expect(new Set(numbers).size).toBeGreaterThan(1)
  })

  test('as of applies to the whole console, stays in links, and leads back to now', async () => {
    const page = await console.visit('auditor')
    await page.getByRole('button', { name: 'As of now' }).click()
    const position = Array.from({ length: console.service.shards }, (_, shard) =>
      shard === 0 ? '0/0' : `${shard}/-1`,
    ).join(',')
    await page.getByLabel('or position in the log').fill(position)
    await page.getByRole('button', { name: 'Go there' }).click()
    expect(
      await eventually(
        () => totals(page),
        ([first]) => first === '0',
      ),
    ).toEqual(['0', '0', '0'])
    await page.getByText('Past', { exact: true }).waitFor()
    await page.getByRole('link', { name: 'group 1' }).click()
    await page.getByRole('heading', { name: 'group 1' }).waitFor()
    expect(page.url()).toContain('as_of_position=')
    expect(
      await eventually(
        () => totals(page),
        ([first]) => first === '0',
      ),
    ).toEqual(['0', '0', '0'])
    expect(await page.getByRole('button', { name: 'Change' }).count()).toBe(0)
    await page.getByRole('button', { name: 'Back to now' }).click()
    expect(
      (
        await eventually(
          () => totals(page),
          ([first]) => first === '700',
        )
      )[0],
    ).toBe('700')
  })

  test('a time in the future is refused in the dialog', async () => {
    const page = await console.visit('auditor')
    await page.getByRole('button', { name: 'As of now' }).click()
    await page.getByLabel('Time (UTC)').fill('2999-01-01T00:00:00')
    await page.getByRole('button', { name: 'Go there' }).click()
    await page.getByText('This time is in the future.').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  })

  test('the chart shows the numbers of a bar by keyboard, and zooms by mouse', async () => {
    // Daily bars: a new hour may begin during the test.
    const page = await console.visit('auditor', '/?range=7d&bucket=day')
    const chart = page.locator('.chart canvas')
    await chart.waitFor()
    const readout = page.locator('.readout')
    await page.locator('.chart').focus()
    await page.keyboard.press('ArrowLeft')
    const counted = 'Requests 2,700'
    expect(
      await eventually(
        async () => (await readout.textContent()) ?? '',
        (text) => text.includes(counted) && !text.includes('–'),
      ),
    ).toContain(counted)
    await page.keyboard.press('ArrowLeft')
    expect(
      await eventually(
        async () => (await readout.textContent()) ?? '',
        (text) => text.includes('Requests 0'),
      ),
    ).toContain('Requests 0')

    const box = (await page.locator('.chart .u-over').boundingBox())!
    const at = (share: number) => box.x + box.width * share
    await page.mouse.move(at(0.5), box.y + 50)
    await page.mouse.down()
    await page.mouse.move(at(0.9), box.y + 60, { steps: 4 })
    await page.mouse.up()
    await page.waitForURL(/from=.*to=/)
    await page.getByRole('button', { name: 'Zoom out' }).click()
    await page.waitForURL((url) => !url.search.includes('from='))
  })

  test('numbers follow the locale of the browser', async () => {
    const page = await console.open('auditor', { locale: 'de-DE' })
    const expected = ['2.700', '2.644', '56']
    expect(
      await eventually(
        () => totals(page),
        (found) => `${found}` === `${expected}`,
      ),
    ).toEqual(expected)
    await page.getByText('97,93').first().waitFor()
  })

  test('days begin in the local time zone if the user chooses so', async () => {
    const page = await console.visit('auditor')
    const requested = page.waitForRequest((request) => request.url().includes('tz=Europe%2FBerlin'))
    await page.getByRole('button', { name: 'Local' }).click()
    await requested
    await page.reload()
    expect(await page.getByRole('button', { name: 'Local' }).getAttribute('aria-pressed')).toBe(
      'true',
    )
    await page.getByRole('button', { name: 'UTC' }).click()
  })

  test('a table is saved as CSV', async () => {
    const page = await console.visit('auditor')
    await page.getByRole('link', { name: 'group 1' }).waitFor()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('region', { name: GROUPS }).getByRole('button', { name: 'CSV' }).click(),
    ])
    const lines = (await readFile(await download.path(), 'utf8')).split('\r\n')
    // Excel recognizes UTF-8 only by the byte order mark.
    expect(lines[0]).toBe(
      '\ufeffid,external_id,name,total_requests,success_requests,failure_requests,success_rate,failure_rate',
    )
    expect(lines[1]).toBe('3,,group 3,1200,1164,36,0.97,0.03')
    expect(lines).toHaveLength(5)
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
