import { beforeAll, describe, expect, test } from 'bun:test'
import { hasBrowser, readRows, untilEqual, useConsole } from './browser.ts'
import { slowReads } from './slow-reads.ts'

describe.skipIf(!hasBrowser)('dimensions and measures', () => {
  const console = useConsole()
  beforeAll(async () => {
    await console.service.putCatalog({
      dimensions: [{ name: 'model' }],
      measures: [{ name: 'cost_micros', unit: 'USD/1e6' }],
    })
  })

  const LIST = 'All dimensions and measures'
  type Page = { items: { name: string; unit?: string | null }[] }
  const read = async (path: string) => (await console.service.read<Page>(path)).items

  test('are declared by an admin', async () => {
    const page = await console.visit('admin', '/dimensions')
    await page.getByRole('button', { name: 'Declare a dimension' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('status')
    await dialog.getByRole('button', { name: 'Declare' }).click()
    await dialog.waitFor({ state: 'detached' })
    const rows = async () => (await readRows(page, LIST)).map((row) => row.slice(0, 3))
    const expected = [
      ['model', 'dimension', ''],
      ['status', 'dimension', ''],
      ['cost_micros', 'measure', 'USD/1e6'],
    ]
    expect(await untilEqual(rows, expected)).toEqual(expected)
    await page.getByRole('button', { name: 'Declare a measure' }).click()
    await dialog.getByLabel('Name').fill('input_tokens')
    await dialog.getByRole('button', { name: 'Declare' }).click()
    await dialog.waitFor({ state: 'detached' })
    expect(await read('/admin/measures')).toEqual([
      { name: 'cost_micros', unit: 'USD/1e6' },
      { name: 'input_tokens', unit: null },
    ])
  })

  test('are refused with the reason of the service', async () => {
    const many = [...'abcdef'].map((name) => ({ name }))
    await console.service.putCatalog({ dimensions: many })
    const page = await console.visit('admin', '/dimensions')
    await page.getByRole('button', { name: 'Declare a dimension' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('region')
    await dialog.getByRole('button', { name: 'Declare' }).click()
    await dialog.getByRole('alert').waitFor()
    expect(await dialog.getByRole('alert').textContent()).toContain('at most 8')
  })

  test('are changed and ended by an admin', async () => {
    const page = await console.visit('admin', '/dimensions')
    const dialog = page.getByRole('dialog')
    const changeTo = async (unit: string) => {
      await page.getByRole('button', { name: 'Change cost_micros' }).click()
      const before = await dialog.getByLabel('Unit').inputValue()
      await dialog.getByLabel('Unit').fill(unit)
      await dialog.getByRole('button', { name: 'Change' }).click()
      await dialog.waitFor({ state: 'detached' })
      return before
    }
    await page.getByRole('button', { name: 'Change cost_micros' }).waitFor()
    const reads = await slowReads(page, '/admin/measures')
    expect(await changeTo('USD/1e9')).toBe('USD/1e6')
    // However slowly the page reads, the dialog shows what was changed.
    expect(await changeTo('EUR/1e6')).toBe('USD/1e9')
    await reads.end()
    await page.getByRole('button', { name: 'End input_tokens' }).click()
    await dialog.getByRole('button', { name: 'End it' }).click()
    await dialog.waitFor({ state: 'detached' })
    expect(await read('/admin/measures')).toEqual([{ name: 'cost_micros', unit: 'EUR/1e6' }])
    // The row stays with its end, and can't be ended again.
    const isEnded = async () => {
      const row = (await readRows(page, LIST)).find(([name]) => name === 'input_tokens')
      return /\d/.test(row?.[3] ?? '')
    }
    expect(await untilEqual(isEnded, true)).toBe(true)
    expect(await page.getByRole('button', { name: 'End input_tokens' }).count()).toBe(0)
  })

  test('are shown to an auditor, also as of the past', async () => {
    const page = await console.visit('auditor', '/dimensions?as_of_position=0/0')
    const expected = [
      ['model', 'dimension', '', ''],
      ['cost_micros', 'measure', 'USD/1e6', ''],
    ]
    const rows = () => readRows(page, LIST)
    expect(await untilEqual(rows, expected)).toEqual(expected)
    expect(await page.getByRole('button', { name: 'Declare a measure' }).count()).toBe(0)
    expect(await page.getByRole('button', { name: 'End cost_micros' }).count()).toBe(0)
  })

  test('are named where a change of the catalog is described', async () => {
    const page = await console.visit('auditor', '/events/0/0')
    await page.getByText('dimension model, measure cost_micros').waitFor()
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
