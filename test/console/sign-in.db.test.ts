import { describe, expect, test } from 'bun:test'
import { TOKENS } from '../support/service.ts'
import { hasBrowser, settle, signIn, useConsole } from './browser.ts'

/** Links, and the headings of the pages that they lead to. */
const LINKS = [
  ['one', 'one'],
  ['API keys', 'API keys'],
  ['Token keys', 'Token keys'],
  ['Proofs', 'Proofs'],
  ['Health', 'Health'],
] as const

describe.skipIf(!hasBrowser)('signing in', () => {
  const console = useConsole({ unknownTokens: 3 })

  test('a token opens the console, and is stored nowhere in the browser', async () => {
    const page = await console.open(null, { path: 'about:blank' })
    const requested: string[] = []
    page.on('request', (request) => requested.push(request.url()))
    await signIn(page, TOKENS.admin)
    await page.reload()
    await page.getByRole('heading', { name: 'Overview' }).waitFor()

    const [cookie, ...others] = await page.context().cookies()
    expect(others).toEqual([])
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/' })
    const readable = await page.evaluate(() => [
      ...[document.cookie, document.documentElement.outerHTML, location.href],
      ...[JSON.stringify(localStorage), JSON.stringify(sessionStorage)],
    ])
    const places = [...readable, ...requested, cookie!.value]
    expect(places.filter((text) => text.includes(TOKENS.admin))).toEqual([])
    expect(readable[0]).toBe('')
  })

  test('signing out ends the session, in every tab', async () => {
    const page = await console.open('auditor')
    const other = await page.context().newPage()
    await other.goto('/proofs')
    await other.getByRole('heading', { name: 'Proofs' }).waitFor()
    const [cookie] = await page.context().cookies()

    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Token').waitFor()
    await other.getByLabel('Token').waitFor()
    const headers = { cookie: `${cookie!.name}=${cookie!.value}` }
    expect(await (await fetch(`${console.service.url}/session`, { headers })).json()).toBeNull()
  })

  test('a missing session is not logged as an error in the browser', async () => {
    const page = await console.visit(null, '/console/icon.svg')
    const errors: string[] = []
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text())
    })
    await page.goto('/')
    await page.getByLabel('Token').waitFor()
    await page.waitForLoadState('networkidle')
    expect(errors).toEqual([])
  })

  test('if the session cannot be read, the page says why and recovers by itself', async () => {
    const page = await console.open('auditor')
    let isUnavailable = true
    await page.route('**/session', (route) =>
      isUnavailable
        ? route.fulfill({
            status: 503,
            contentType: 'application/problem+json',
            body: JSON.stringify({ status: 503, error: 'database unavailable' }),
          })
        : route.continue(),
    )
    await page.reload()
    await page.getByText('Temporarily unavailable (database unavailable).').waitFor()
    isUnavailable = false
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
  })

  test('the requested page is shown after signing in', async () => {
    const page = await console.visit(null, '/health')
    await page.getByLabel('Token').fill(TOKENS.auditor)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Health', exact: true }).waitFor()
    expect(new URL(page.url()).pathname).toBe('/health')
  })

  test('an auditor sees no buttons that only an admin may use', async () => {
    await console.service.putCatalog({ provider_groups: [{ id: 1, name: 'one' }] })
    const buttonsFor = async (role: 'admin' | 'auditor') => {
      const names: string[] = []
      const page = await console.visit(role)
      await settle(page)
      names.push(...(await page.getByRole('button').allInnerTexts()))
      for (const [link, heading] of LINKS) {
        await page.getByRole('link', { name: link, exact: true }).click()
        await page.getByRole('heading', { name: heading, level: 1 }).waitFor()
        await settle(page)
        // Shown only after the last read.
        if (link === 'Health') await page.getByText('api_key_counters').first().waitFor()
        names.push(...(await page.getByRole('button').allInnerTexts()))
      }
      return new Set(names.map((name) => name.trim()))
    }
    const [admin, auditor] = [await buttonsFor('admin'), await buttonsFor('auditor')]
    const adminOnly = ['Add', 'Change', 'End', 'Rebuild', 'Verify now']
    expect(adminOnly.filter((name) => admin.has(name))).toEqual(adminOnly)
    expect(adminOnly.filter((name) => auditor.has(name))).toEqual([])
  })

  test('wrong tokens are refused with an explanation, and blocked after some tries', async () => {
    const page = await console.visit(null)
    const tryWith = async (token: string, answer: string) => {
      await page.getByLabel('Token').fill(token)
      const answered = page.waitForResponse('**/session')
      await page.getByRole('button', { name: 'Sign in' }).click()
      await answered
      await page.getByRole('button', { name: 'Sign in', disabled: false }).waitFor()
      await page.getByRole('alert').filter({ hasText: answer }).waitFor()
    }
    await tryWith(TOKENS.dp, 'can only post flushes')
    for (const token of ['wrong-1', 'wrong-2', 'wrong-3']) await tryWith(token, 'Unknown token')
    await tryWith('wrong-4', 'Too many wrong tokens')
    expect(await page.getByLabel('Token').inputValue()).toBe('')
  })

  test('the pages report no errors', () => {
    expect(console.pageErrors).toEqual([])
  })
})
