import { beforeAll, describe, expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { hasBrowser, readRows, settle, untilEqual, useConsole } from './browser.ts'

/** Values of the dimension `user`; there are ten of `model`. */
const USERS = 10_000
const MODELS = 10

/** The first model has the most requests, and those of the last one cost the most. */
const MODEL_ENTRIES = Array.from({ length: MODELS }, (_, i) => ({
  ...{ api_key_id: 1, requests: 20 - i, success_requests: 20 - 2 * i },
  dimensions: { model: `m${i + 1}` },
  measures: { cost_micros: i === MODELS - 1 ? 12_345_678 : 1_000, input_tokens: 7 },
}))

describe.skipIf(!hasBrowser)('a breakdown', () => {
  const console = useConsole({ dimensionValues: USERS })
  let page: Page
  beforeAll(async () => {
    const { service } = console
    await service.putCatalog({
      provider_groups: [{ id: 1, name: 'openai' }],
      api_keys: [{ id: 1, group_id: 1, name: 'checkout' }],
      keys: [{ token_hash: 'hash-a', name: 'limited' }],
      dimensions: [{ name: 'model' }, { name: 'user' }],
      measures: [{ name: 'cost_micros', unit: 'USD/1e6' }, { name: 'input_tokens' }],
    })
    const flush = (keys: object[]) => service.post('/internal/apikey-stats/flush', { keys })
    const users = Array.from({ length: USERS }, (_, i) => ({
      ...{ api_key_id: 1, requests: 1, success_requests: 1 },
      dimensions: { user: `u${i}` },
    }))
    const answers = await Promise.all([
      ...[flush(MODEL_ENTRIES), flush(users)],
      service.post('/internal/stats/flush', {
        keys: [
          { token_hash: 'hash-a', requests: 1, tokens: 70, dimensions: { model: 'm1' } },
          { token_hash: 'hash-a', requests: 2, tokens: 30 },
        ],
      }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    page = await console.visit('auditor', '/?range=7d&bucket=day')
  })

  const rowsOf = (by: string) => readRows(page, `Usage by ${by}`)
  const columns = async (by: string, from: number, to: number) =>
    (await rowsOf(by)).map((row) => row.slice(from, to))

  test('shows the largest values, the rest, and requests without a value', async () => {
    await page.getByLabel('by', { exact: true }).selectOption('model')
    const expected = [
      ...Array.from({ length: MODELS }, (_, i) => [`m${i + 1}`, `${20 - i}`]),
      ['without model', '10,000'],
      ['All', '10,155'],
    ]
    expect(await untilEqual(() => columns('model', 0, 2), expected)).toEqual(expected)
    // The chart has eight values; its readout says what the others are together.
    await page.locator('.readout', { hasText: 'other 23' }).waitFor()
    expect(page.url()).toContain('by=model')
  })

  test('shows measures in their unit, with all of their digits', async () => {
    await page.getByLabel('Show').selectOption('cost_micros')
    const costs = [
      ['m10', '$12.345678', '99.93%'],
      ['m1', '$0.001000', '<0.01%'],
    ]
    const rows = async () => (await columns('model', 0, 3)).slice(0, 2)
    expect(await untilEqual(rows, costs)).toEqual(costs)
    const all = async () => (await columns('model', 0, 2)).at(-1)
    expect(await all()).toEqual(['All', '$12.354678'])
    await page.getByRole('heading', { name: 'cost_micros over time' }).waitFor()
    await page.locator('.readout', { hasText: 'm10 $12.345678' }).waitFor()
  })

  test('measures are columns of tables, which the URL remembers', async () => {
    await page.getByRole('region', { name: 'Provider groups' }).getByText('Columns').click()
    await page.getByRole('dialog').getByLabel('input_tokens').check()
    await page.getByRole('button', { name: 'Show', exact: true }).click()
    await page.reload()
    const heading = page.getByRole('columnheader', { name: 'input_tokens' })
    await heading.nth(1).waitFor()
    // The service cannot sort by a measure.
    expect(await heading.getByRole('button').count()).toBe(0)
    const counted = async () => (await readRows(page, 'Provider groups'))[0]?.slice(0, 5)
    const expected = ['openai', '10,155', '45', '99.56%', '70']
    expect(await untilEqual(counted, expected)).toEqual(expected)
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('region', { name: 'Provider groups' }).getByText('CSV').click(),
    ])
    const lines = (await readFile(await download.path(), 'utf8')).split('\r\n')
    expect(lines[0]).toEndWith('failure_rate,cost_micros,input_tokens')
    expect(lines[1]).toEndWith(',12354678,70')
  })

  test('a dimension with 10,000 values is shown in few rows, and saved as CSV', async () => {
    const asked: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    page = await console.visit('auditor', '/?range=7d&bucket=day&by=user&values=all')
    await page.locator('.readout', { hasText: 'other 9,992' }).waitFor()
    await settle(page)
    expect(await page.locator('.readout .count').count()).toBe(10)
    const shown = await rowsOf('user')
    expect(shown.length).toBeLessThan(60)
    expect(await page.locator('*').count()).toBeLessThan(2_000)
    const limits = asked.flatMap((url) => new URL(url).searchParams.get('limit') ?? [])
    expect(Math.max(...limits.map(Number).filter((limit) => limit < 1_000))).toBe(100)
    const table = page.getByRole('table', { name: 'all groups by user' })
    expect(await table.getAttribute('aria-rowcount')).toBe('104')
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('region', { name: 'Usage by user' }).getByText('CSV').click(),
    ])
    const lines = (await readFile(await download.path(), 'utf8')).split('\r\n')
    expect(lines[0]).toBe(
      '\ufeffuser,total_requests,success_requests,failure_requests,cost_micros,input_tokens',
    )
    expect(lines).toHaveLength(1 + 998 + 2 + 1)
  })

  test('of a token key is of its tokens', async () => {
    page = await console.visit('auditor', '/keys/hash-a?range=7d&bucket=day&by=model')
    const expected = [
      ['m1', '70', '70.00%'],
      ['without model', '30', '30.00%'],
      ['All', '100', ''],
    ]
    expect(await untilEqual(() => columns('model', 0, 3), expected)).toEqual(expected)
    await page.locator('.chart').focus()
    await page.keyboard.press('ArrowLeft')
    await page.locator('.readout', { hasText: 'm1 70' }).waitFor()
    await page.getByText('Numbers').click()
    const numbers = page.getByRole('region', { name: 'Usage in numbers' })
    const headings = () => numbers.locator('th').allTextContents()
    const expectedHeadings = ['From', 'm1', 'without model']
    expect(await untilEqual(headings, expectedHeadings)).toEqual(expectedHeadings)
  })

  test('a key shows its measures in total', async () => {
    page = await console.visit('auditor', '/api-keys/1')
    const measures = page.getByRole('region', { name: 'Measures', exact: true })
    const totals = () => measures.locator('dd').allTextContents()
    expect(await untilEqual(totals, ['$12.354678', '70'])).toEqual(['$12.354678', '70'])
  })

  test('as of a time before any dimension says how to declare one', async () => {
    page = await console.visit('auditor', '/?as_of=2026-01-05T10:20:30Z&by=model')
    await page.getByText('No dimension was declared.').waitFor()
    await page.getByRole('link', { name: 'Dimensions', exact: true }).last().waitFor()
  })

  test('a dimension that is not declared is refused, and another can be chosen', async () => {
    page = await console.visit('auditor', '/groups/1?range=7d&bucket=day&by=region')
    await page.getByRole('alert').waitFor()
    await page.getByLabel('by', { exact: true }).selectOption('model')
    const first = async () => (await columns('model', 0, 2))[0]
    expect(await untilEqual(first, ['m1', '20'])).toEqual(['m1', '20'])
    expect(await page.getByRole('alert').count()).toBe(0)
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
