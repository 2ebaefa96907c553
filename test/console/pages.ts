import type { Page } from 'playwright-core'
import { PATHS } from '../../src/console/paths.ts'

/** Replaces the parameters of a path by those of an entity that exists. */
const addressOf = (path: string) =>
  path
    .replace('/keys/:hash', '/keys/hash-a')
    .replace(':shard', '0')
    .replace(':position', '0')
    .replace(':name', 'dp')
    .replace(':id', '1')

/** True if a page is one of those in console/paths.ts. */
export const isPage = (name: string) => PATHS.some((path) => path === name)

/** A page to check, and what to do on it before. */
export type TestedPage = { path: string; name: string; prepare?: (page: Page) => Promise<void> }

/** Every page, with charts of a few daily bars; one of the past, a breakdown, and some dialogs. */
export const PAGES: TestedPage[] = [
  ...PATHS.map((name) => ({
    name,
    path: `${addressOf(name)}?range=7d&bucket=day`,
    ...(name.startsWith('/events/') && { prepare: checkProof }),
  })),
  { name: 'a page of the past', path: '/?as_of_position=0/0', prepare: waitForPast },
  { name: 'a breakdown', path: '/?range=7d&bucket=day&by=model&measures=cost_micros' },
  { name: 'a page with a dialog', path: '/groups/1', prepare: openDialog },
  { name: 'the dialog of balances', path: '/corrections', prepare: openBalances },
  { name: 'the dialog of a webhook', path: '/webhooks', prepare: openWebhook },
  { name: 'the dialog of an adoption', path: '/unknown-keys', prepare: openAdopt },
]

async function waitForPast(page: Page): Promise<void> {
  await page.getByText('Past', { exact: true }).waitFor()
}

async function checkProof(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Check it here' }).click()
  await page.getByText('every step succeeded').waitFor()
}

async function openDialog(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'End' }).click()
  await page.getByRole('dialog').waitFor()
}

async function openBalances(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Open balances' }).click()
  await page.getByText('Format of the file').click()
  const text = 'kind,id,requests,tokens,quota_used\nkey,a,1,2,3'
  await page
    .getByLabel('CSV file')
    .setInputFiles({ name: 'b.csv', mimeType: 'text/csv', buffer: Buffer.from(text) })
  await page.getByText('1 token key').waitFor()
}

async function openWebhook(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Create a webhook' }).click()
  await page.getByRole('dialog').waitFor()
}

async function openAdopt(page: Page): Promise<void> {
  await page.getByRole('checkbox').first().check()
  await page.getByRole('button', { name: 'Adopt chosen' }).click()
  await page.getByRole('dialog').waitFor()
}
