import { beforeAll, describe, expect, test } from 'bun:test'
import { fill, hasBrowser, readRows, settle, untilEqual, useConsole } from './browser.ts'

describe.skipIf(!hasBrowser)('sources', () => {
  const console = useConsole()
  beforeAll(() => fill(console.service, { groups: 1, keys: 2 }))

  const post = async (sequence: string) => {
    const init = {
      method: 'POST',
      headers: { 'tallybook-sequence': sequence },
      body: JSON.stringify({ keys: [{ api_key_id: 1, requests: 3 }] }),
    }
    const answer = await console.service.fetch('dp', '/internal/apikey-stats/flush', init)
    expect(answer.status).toBe(200)
  }

  /** Makes the source's newest flushes an hour old, so that it is silent. */
  const age = async () => {
    await console.service.read('/admin/sources')
    await console.service.database.owner`
      update sources
      set recent = array(
        select statement_timestamp() - make_interval(hours => 1, secs => i)
        from generate_series(0, 20) as g(i)
      )`
  }

  test('a gap and silence are shown until they end', async () => {
    for (const sequence of ['gw-1/0', 'gw-1/3', 'gw-1/4', 'gw-1/6']) await post(sequence)
    await age()
    const page = await console.visit('auditor', '/sources')
    await settle(page)
    const listed = async () => (await readRows(page, 'All sources')).map((row) => row.slice(0, 3))
    expect(await untilEqual(listed, [['dp', 'silent', '3']])).toEqual([['dp', 'silent', '3']])

    await page.getByRole('link', { name: 'dp', exact: true }).click()
    await page.getByRole('heading', { name: 'dp' }).waitFor()
    const epochs = async () => (await readRows(page, 'Epochs')).map((row) => row.slice(0, 3))
    const gap = [['gw-1', '1–2, 5', '7']]
    expect(await untilEqual(epochs, gap)).toEqual(gap)
    await page.getByText('silent', { exact: true }).waitFor()

    await post('gw-1/1-2')
    const rest = [['gw-1', '5', '7']]
    expect(await untilEqual(epochs, rest)).toEqual(rest)
    await post('gw-1/5')
    await post('gw-1/7;last')
    const none = [['gw-1', 'none', '8']]
    expect(await untilEqual(epochs, none)).toEqual(none)
    await page.getByText('shut down', { exact: true }).waitFor()
  })

  test('the health page tells of both', async () => {
    await post('gw-2/1')
    await age()
    const page = await console.visit('auditor', '/health')
    await page.getByText('1 source is silent.').waitFor()
    await page.getByText('1 flush is missing.').waitFor()
  })

  test('a source that does not exist has no page', async () => {
    const page = await console.visit('auditor', '/sources/nobody')
    await page.getByRole('heading', { name: 'Not found' }).waitFor()
  })
})
