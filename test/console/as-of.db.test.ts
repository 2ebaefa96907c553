import { beforeAll, describe, expect, test } from 'bun:test'
import { insertEvent } from '../support/events.ts'
import { eventually, fill, hasBrowser, readRows, useConsole } from './browser.ts'

describe.skipIf(!hasBrowser)('a page of the past', () => {
  const console = useConsole()
  let position: string
  beforeAll(async () => {
    const { service } = console
    await insertEvent(service.database.owner, { recordedAt: '2026-01-05T10:20:00Z' })
    await fill(service, { groups: 2, keys: 2 })
    const others = Array.from({ length: service.shards - 1 }, (_, i) => `,${i + 1}/-1`)
    position = `0/0${others.join('')}`
  })

  test('shows charts that end with the hour of the as-of time', async () => {
    const page = await console.visit('auditor', '/health')
    for (const then of [`as_of_position=${position}`, 'as_of=2026-01-05T10:20:30Z']) {
      const requested = page.waitForRequest(
        (request) => new URL(request.url()).searchParams.get('to') === '2026-01-05T11:00:00Z',
      )
      await page.goto(`/?${then}`)
      const { searchParams } = new URL((await requested).url())
      expect(searchParams.get('from')).toBe('2026-01-04T11:00:00Z')
      await page.getByText('Jan 4, 11:00 AM – Jan 5, 11:00 AM').waitFor()
      await page.getByText('No usage in this period.').waitFor()
    }
  })

  test('shows the log up to the as-of time', async () => {
    for (const then of [`as_of_position=${position}`, 'as_of=2026-01-05T10:20:30Z']) {
      const page = await console.visit('auditor', `/events?${then}`)
      const rows = await eventually(
        () => readRows(page, 'Events'),
        ({ length }) => length === 1,
      )
      expect([then, rows.map(([event]) => event)]).toEqual([then, ['0/0']])
    }
  })

  test('loads and shows an error if the as-of time or the range in the URL is invalid', async () => {
    const wrong = [
      'as_of=yesterday',
      'as_of=2026-99-99',
      'as_of_position=0/99999',
      'range=toString',
    ]
    for (const search of wrong) {
      const page = await console.visit('auditor', `/?${search}`)
      await page.getByRole('heading', { name: 'Overview' }).waitFor()
      if (search.startsWith('as_of')) await page.getByRole('alert').first().waitFor()
      else await page.getByRole('link', { name: 'group 1' }).waitFor()
      await page.getByRole('button', { name: /^As of/ }).waitFor()
    }
  })

  test('says so if the entity did not exist yet', async () => {
    const page = await console.visit('auditor', `/groups/1?as_of_position=${position}`)
    await page.getByText('There was no provider group #1 at that time.').waitFor()
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
