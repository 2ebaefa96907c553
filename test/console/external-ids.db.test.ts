import { beforeAll, describe, expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { hasBrowser, readRows, untilEqual, useConsole } from './browser.ts'

// Pages show the names that a gateway uses, and an admin sets them once.

describe.skipIf(!hasBrowser)('external ids', () => {
  const console = useConsole()
  beforeAll(async () => {
    await console.service.putCatalog({
      provider_groups: [{ id: 1, external_id: 'gw-openai', name: 'openai' }, { id: 2 }],
      api_keys: [
        { id: 7, external_id: 'sk-7', group_id: 1 },
        { id: 8, name: 'eight' },
      ],
    })
  })

  test('are shown on pages and in lists, also to auditors', async () => {
    const page = await console.visit('auditor', '/groups/1')
    await page.getByText('external id gw-openai').waitFor()
    const rows = () => readRows(page, 'API keys of this group')
    const expected = [['sk-7', '7', 'sk-7']]
    const shown = async () => (await rows()).map((row) => [row[0], row[1], row.at(-1)])
    expect(await untilEqual(shown, expected)).toEqual(expected)
    await page.getByRole('link', { name: 'sk-7' }).click()
    // A key without a name is called by its external id.
    await page.getByRole('heading', { name: 'sk-7' }).waitFor()
    await page.getByText('external id sk-7').waitFor()
    expect(await page.getByRole('button', { name: 'Change' }).count()).toBe(0)
  })

  test('find a row', async () => {
    const page = await console.visit('auditor', '/api-keys')
    await page.getByLabel('Find a key').fill('sk-')
    const names = async () => (await readRows(page, 'All API keys')).map(([name]) => name)
    expect(await untilEqual(names, ['sk-7'])).toEqual(['sk-7'])
  })

  test('are set when a row is added, whose number follows', async () => {
    const page = await console.visit('admin', '/api-keys')
    await page.getByRole('button', { name: 'Add' }).click()
    await page.getByLabel('External id').fill('sk-new')
    await page.getByRole('dialog').getByRole('button', { name: 'Add' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    const row = await console.service.read<object>('/admin/api-keys/ext:sk-new')
    expect(row).toMatchObject({ id: 9, external_id: 'sk-new', name: null })
  })

  test('are set once for a row that has none', async () => {
    const page = await console.visit('admin', '/groups/2')
    await page.getByRole('button', { name: 'Change' }).click()
    const input = page.getByLabel('External id')
    await input.fill('gw-openai')
    const submit = page.getByRole('dialog').getByRole('button', { name: 'Change' })
    await submit.click()
    await page.getByRole('dialog').getByRole('alert').waitFor()
    await input.fill('gw-mistral')
    await submit.click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByText('external id gw-mistral').waitFor()
    await page.getByRole('heading', { name: 'gw-mistral' }).waitFor()
    await page.getByRole('button', { name: 'Change' }).click()
    expect(await input.getAttribute('readonly')).not.toBeNull()
    await page.getByLabel('Name').fill('mistral')
    await submit.click()
    await page.getByRole('heading', { name: 'mistral' }).waitFor()
  })

  test('that no key has are shown in the entries of an event', async () => {
    const keys = [
      { api_key_id: 8, requests: 2 },
      { api_key: 'sk-unknown', requests: 1 },
    ]
    const posted = await console.service.post('/internal/apikey-stats/flush', { keys })
    const page = await console.visit('auditor', `/events/${positionOf(posted)}`)
    await page.getByRole('cell', { name: 'sk-unknown' }).waitFor()
    const heads = page.getByRole('region', { name: 'Entries', exact: true }).locator('th')
    expect((await heads.allTextContents()).slice(0, 2)).toEqual(['api_key_id', 'api_key'])
    const rows = await readRows(page, 'Entries')
    expect(rows).toContainEqual(['–', 'sk-unknown', '–', '1', '0'])
    expect(rows).toContainEqual(['8', '–', '0', '2', '0'])
  })

  test('are named where a change of the catalog is described', async () => {
    const page = await console.visit('auditor', '/events/0/0')
    await page.getByText('4 put, 2 with external ids').waitFor()
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
