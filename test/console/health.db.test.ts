import { beforeAll, describe, expect, test } from 'bun:test'
import { fill, hasBrowser, useConsole } from './browser.ts'

describe.skipIf(!hasBrowser)('health', () => {
  const console = useConsole()
  beforeAll(() => fill(console.service, { groups: 1, keys: 2 }))

  test('says that all is well, and shows the server version and the projections', async () => {
    const page = await console.visit('auditor', '/health')
    await page.getByText('All is well.').waitFor()
    await page.getByText(/^PostgreSQL \d+/).waitFor()
    const row = page.locator('.projections li', { hasText: 'provider_group_counters' })
    await row.getByText('reflects the whole log').waitFor()
  })

  test('a running rebuild shows its progress', async () => {
    const { owner } = console.service.database
    // A heartbeat in the future: the rebuild counts as alive, however long the page takes.
    await owner`
      insert into rebuilds (
        projection, generation, state, started_at, seen_at, events_folded, events_total
      ) values ('usage', 9, 'folding', now(), now() + interval '1 hour', 5, 20)`
    const page = await console.visit('admin', '/health')
    const bar = page.getByRole('progressbar', { name: 'Progress of the rebuild' })
    await bar.waitFor()
    expect(await bar.getAttribute('value')).toBe('5')
    await page.getByText('5 of 20 events folded').waitFor()
    expect(await page.getByRole('button', { name: 'Rebuild usage' }).count()).toBe(0)
    await owner`delete from rebuilds where generation = 9`
  })

  test('a rebuild starts after confirmation and reports the rows that differed', async () => {
    const { owner } = console.service.database
    await owner`update api_key_counters set requests = requests + 5 where api_key_id = 1`
    const page = await console.visit('admin', '/health')
    await page.getByRole('button', { name: 'Rebuild api_key_counters' }).click()
    await page.getByRole('button', { name: 'Rebuild', exact: true }).click()
    await page.getByText('1 row did not match the log').waitFor()
    await page.getByText(/api_key_counters had 1 row that did not/).waitFor()
    await page.getByText('Rows that differed').click()
    expect(await page.locator('.projections pre').textContent()).toContain('api_key_counters')
  })

  test('an event that could not be folded is shown with a link to it', async () => {
    const { owner } = console.service.database
    await owner`
      insert into parked_events (shard, position, reason) values (0, 1, 'a test parked it')`
    const page = await console.visit('auditor', '/health')
    await page.getByText('1 event could not be folded.').waitFor()
    await page.getByText('1 event that could not be folded').click()
    await page.getByRole('link', { name: '0/1' }).waitFor()
    await owner`delete from parked_events`
  })

  test('an unreachable service is reported, and the last result stays', async () => {
    const page = await console.visit('auditor', '/health')
    await page.getByText(/^PostgreSQL \d+/).waitFor()
    await page.context().setOffline(true)
    await page.getByText('The service is unreachable.').first().waitFor()
    expect(await page.getByText(/^PostgreSQL \d+/).count()).toBe(1)
    await page.context().setOffline(false)
    await page.getByText('The service is unreachable.').first().waitFor({ state: 'detached' })
  })

  test('an unavailable database is reported, with the consequence for flushes', async () => {
    const page = await console.visit('auditor', '/health')
    await page.route('**/admin/status', (route) =>
      route.fulfill({
        status: 503,
        contentType: 'application/problem+json',
        body: JSON.stringify({ status: 503, error: 'database unavailable' }),
      }),
    )
    await page.getByText('The database does not answer.').waitFor()
    await page.getByText(/nothing that was acknowledged is lost/).waitFor()
  })
})
