import { beforeAll, describe, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { untilSigned } from '../proofs/verifier/audited.ts'
import { editLog } from '../support/events.ts'
import {
  countSignals,
  eventually,
  fill,
  hasBrowser,
  readRows,
  signalsOf,
  untilSignals,
  useConsole,
} from './browser.ts'

describe.skipIf(!hasBrowser)('the log and its proofs', () => {
  const console = useConsole()
  beforeAll(() => fill(console.service, { groups: 2, keys: 3 }))

  const types = async (page: Page) => (await readRows(page, 'Events')).map((cells) => cells[2]!)

  test('shows the newest events first and new ones as they come, until it is paused', async () => {
    const page = await console.visit('auditor', '/console/icon.svg')
    await countSignals(page)
    await page.goto('/events')
    const expected = ['KeyStatsFlushed', 'ApiKeyStatsFlushed', 'CatalogChanged']
    expect(
      await eventually(
        () => types(page),
        ({ length }) => length >= 3,
      ),
    ).toEqual(expected)
    await console.service.putCatalog({ provider_groups: [{ id: 3, name: 'three' }] })
    expect(
      await eventually(
        () => types(page),
        ({ length }) => length === 4,
      ),
    ).toEqual(['CatalogChanged', ...expected])
    await page.getByRole('button', { name: 'Pause' }).click()
    // By the second signal, a page that is not paused would have read after the first one.
    for (const name of ['four', 'five']) {
      const before = await signalsOf(page)
      await console.service.putCatalog({ provider_groups: [{ id: 3, name }] })
      await untilSignals(page, before + 1)
    }
    const head = await console.service.read<{ items: unknown[] }>('/audit/events?shard=all')
    expect(head.items).toHaveLength(6)
    expect(await types(page)).toHaveLength(4)
    await page.getByRole('button', { name: 'Resume' }).click()
    expect(
      await eventually(
        () => types(page),
        ({ length }) => length === 6,
      ),
    ).toHaveLength(6)
  })

  test('filters by type, source and time', async () => {
    const page = await console.visit('auditor', '/events')
    await page.getByLabel('Type').selectOption('CatalogChanged')
    expect(
      await eventually(
        () => types(page),
        ({ length }) => length === 4,
      ),
    ).toHaveLength(4)
    await page.getByLabel('Source').fill('nobody')
    await page.keyboard.press('Enter')
    await page.getByText('No matching events.').waitFor()
    await page.getByRole('button', { name: 'Clear' }).click()
    expect(
      await eventually(
        () => types(page),
        ({ length }) => length === 6,
      ),
    ).toHaveLength(6)
    await page.getByLabel('Until').fill('2020-01-01T00:00')
    await page.getByText('No matching events.').waitFor()
  })

  test('an event shows its entries, and every step of its proof passes', async () => {
    await untilSigned(console.service)
    const page = await console.visit('auditor', '/events')
    await page.getByLabel('Type').selectOption('KeyStatsFlushed')
    await eventually(
      () => types(page),
      ({ length }) => length === 1,
    )
    await page.getByRole('region', { name: 'Events' }).getByRole('link').click()
    await page.getByRole('link', { name: 'hash-a' }).waitFor()
    await page.getByRole('button', { name: 'Check it here' }).click()
    await page.getByText('The event is in the log: every step succeeded.').waitFor()
    const steps = await page.locator('.steps .title').allTextContents()
    expect(steps.slice(0, 3)).toEqual(['Read the proof', 'Hash the payload', 'Hash the leaf'])
    expect(steps.slice(-2)).toEqual(['Compare with the root', 'Verify the signature'])
    expect(await page.locator('.steps li.bad').count()).toBe(0)
  })

  /** Checks the proof of event 0 of shard 0 after `forge` has changed it. */
  async function checkForged(forge: (proof: string) => string): Promise<Page> {
    await untilSigned(console.service)
    const page = await console.visit('auditor', '/events/0/0')
    await page.route('**/tlog-proof', async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, body: forge(await response.text()) })
    })
    await page.getByRole('button', { name: 'Check it here' }).click()
    await page.getByText('The check failed.').waitFor()
    return page
  }
  const failedStep = (page: Page) => page.locator('.steps li.bad .title').textContent()

  test.each([
    ['Hash the payload', (line: string) => line.replace('"payload":{', '"payload": {')],
    [
      'Compare with the root',
      (line: string) => line.replace('"source":"admin"', '"source":"nobody"'),
    ],
  ])('a forged event fails at: %s', async (step, forge) => {
    const page = await checkForged((proof) =>
      proof.replace(/^extra (.*)$/m, (_, base64: string) => {
        const line = Buffer.from(base64, 'base64').toString()
        return `extra ${Buffer.from(forge(line)).toString('base64')}`
      }),
    )
    expect(await failedStep(page)).toBe(step)
  })

  test('the proof of another event and a head with a wrong signature fail', async () => {
    const other = await checkForged((proof) => proof.replace(/^index 0$/m, 'index 1'))
    expect(await failedStep(other)).toBe('Read the proof')
    const unsigned = await checkForged((proof) =>
      proof.replace(
        /(— \S+ .{12})(.)/,
        (_, before: string, one: string) => before + (one === 'A' ? 'B' : 'A'),
      ),
    )
    expect(await failedStep(unsigned)).toBe('Verify the signature')
  })

  test('the signed log is compared with the one that this browser saw before', async () => {
    const page = await console.open('auditor', { path: '/proofs' })
    await page.getByText('Seen here for the first time').first().waitFor()
    await console.service.putCatalog({ provider_groups: [{ id: 3, name: 'six' }] })
    await untilSigned(console.service)
    await page.getByRole('button', { name: 'Compare again' }).click()
    await page.getByText('Signed, and it begins with all').waitFor()

    // As if this browser had seen another log: a root that no tree has.
    await page.evaluate(() => {
      for (const [name, text] of Object.entries(localStorage)) {
        if (!name.startsWith('tallybook.head ')) continue
        const stored = JSON.parse(text as string) as { note: string }
        const lines = stored.note.split('\n')
        lines[1] = '1'
        lines[2] = btoa('x'.repeat(32))
        localStorage.setItem(name, JSON.stringify({ ...stored, note: lines.join('\n') }))
      }
    })
    await page.getByRole('button', { name: 'Compare again' }).click()
    const warning = page.locator('.heads .bad', {
      hasText: 'does not begin with the one that this browser saw',
    })
    const first = await warning.first().textContent()
    // The warning stays, and shows the newest head.
    await console.service.putCatalog({ provider_groups: [{ id: 3, name: 'seven' }] })
    await untilSigned(console.service)
    await page.getByRole('button', { name: 'Compare again' }).click()
    const second = await eventually(
      () => warning.first().textContent(),
      (text) => text !== first,
    )
    expect(second).not.toBe(first)
  })

  test('keys that the browser has not seen are trusted only after confirmation', async () => {
    const page = await console.open('auditor', { path: '/proofs' })
    await page.getByText('Seen here for the first time').first().waitFor()
    await page.evaluate(() => localStorage.setItem('tallybook.keys', ''))
    await page.getByRole('button', { name: 'Compare again' }).click()
    await page.getByText('No key that this browser trusts has signed').first().waitFor()
    await page.getByRole('button', { name: 'Trust them' }).click()
    await page.getByText('Signed, and').first().waitFor()
  })

  test('a verification is started, and its findings are shown', async () => {
    const page = await console.visit('admin', '/proofs')
    await page.getByRole('button', { name: 'Verify now' }).click()
    await page.getByText('no problems').waitFor()
    await editLog(
      console.service.database.owner,
      (sql) => sql`update events set source = 'mallory' where shard = 0 and position = 0`,
    )
    await page.getByRole('button', { name: 'Verify now' }).click()
    await page.getByText(/\d problems?/).waitFor()
    await page.getByText('Problems found').click()
    await page.getByRole('link', { name: '0/0' }).first().waitFor()
    await page.goto('/health')
    await page.getByText(/last verification found/).waitFor()
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
