import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { outcomeOf } from '../support/archive.ts'
import { type DataDir, MAIN, makeDataDir, runTallybook } from '../support/process.ts'
import { TOKENS, useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// The tokens that a first start generates, and those that commands need.

const NO_TOKENS = {
  TALLYBOOK_DP_TOKEN: '',
  TALLYBOOK_ADMIN_TOKEN: '',
  TALLYBOOK_AUDITOR_TOKEN: '',
}

let dataDir: DataDir
beforeAll(async () => {
  dataDir = await makeDataDir('migrated')
})
afterAll(() => dataDir.remove())

const readTokens = async () => {
  const folder = `${dataDir.path}/tokens`
  const names = await readdir(folder)
  return Promise.all(names.map(async (name) => (await Bun.file(`${folder}/${name}`).text()).trim()))
}

test('a first start prints its tokens to a terminal, and otherwise only their folder', async () => {
  const env = { ...NO_TOKENS, TALLYBOOK_AUDITOR_TOKEN: TOKENS.auditor }
  const piped = runTallybook(['serve'], dataDir.path, env)
  const output = await readUntilUrl(piped)
  const tokens = await readTokens()
  expect(tokens.length).toBe(2)
  piped.kill('SIGTERM')
  expect(await piped.exited).toBe(0)
  expect(output).toContain(`New tokens for dp, admin are in ${dataDir.path}/tokens, one file each.`)
  const all = output + (await piped.stderr.text())
  for (const token of tokens) expect(all).not.toContain(token)

  // This start in a terminal generates the auditor's token; the others are no longer new.
  let shown = ''
  const inTerminal = Bun.spawn([process.execPath, '--no-orphans', MAIN, 'serve'], {
    env: {
      PATH: process.env.PATH ?? '',
      TALLYBOOK_DATA_DIR: dataDir.path,
      TALLYBOOK_PORT: '0',
    },
    terminal: {
      data: (_, bytes) => {
        shown += new TextDecoder().decode(bytes)
      },
    },
  })
  await until(() => shown.includes('listens on'))
  inTerminal.kill('SIGTERM')
  await inTerminal.exited
  const auditor = (await Bun.file(`${dataDir.path}/tokens/auditor`).text()).trim()
  expect(shown).toContain(`New auditor token (shown once): ${auditor}`)
  expect(shown).not.toContain(tokens[0]!)
})

/** Reads the output of a service up to the line with its URL. */
async function readUntilUrl(service: ReturnType<typeof runTallybook>): Promise<string> {
  const reader = service.stdout.getReader()
  let output = ''
  while (!output.includes('listens on')) {
    const { done, value } = await reader.read()
    if (done) throw new Error(output + (await service.stderr.text()))
    output += new TextDecoder().decode(value)
  }
  reader.releaseLock()
  return output
}

const service = useService()
const run = async (args: string[], env: Record<string, string>) => {
  const { port } = new URL(service.url)
  return outcomeOf(
    runTallybook(args, `${dataDir.path}-unused`, { ...NO_TOKENS, TALLYBOOK_PORT: port, ...env }),
  )
}

test('a command needs only the tokens of the roles that it uses', async () => {
  const { code, stdout } = await run(['token', 'list'], { TALLYBOOK_ADMIN_TOKEN: TOKENS.admin })
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  const missing = await run(['token', 'list'], { TALLYBOOK_AUDITOR_TOKEN: TOKENS.auditor })
  expect(missing.code).toBe(1)
  expect(missing.stderr).toContain('Set TALLYBOOK_ADMIN_TOKEN')
})

test('the demo sends nothing unless it has both tokens', async () => {
  const { code, stderr } = await run(['demo'], { TALLYBOOK_ADMIN_TOKEN: TOKENS.admin })
  expect(code).toBe(1)
  expect(stderr).toContain('Set TALLYBOOK_DP_TOKEN')
  const { items } = await service.read<{ items: unknown[] }>('/admin/provider-groups')
  expect(items).toEqual([])
})

test('the demo runs with the tokens of the environment alone', async () => {
  const { port } = new URL(service.url)
  const demo = runTallybook(['demo'], `${dataDir.path}-unused`, {
    TALLYBOOK_AUDITOR_TOKEN: '',
    TALLYBOOK_PORT: port,
  })
  await until(async () => {
    const path = '/admin/apikey-stats/summary'
    return (await service.read<{ total_requests: number }>(path)).total_requests > 0
  })
  demo.kill('SIGKILL')
  await demo.exited
})

test('an unknown token is reported with its variable', async () => {
  const { code, stderr } = await run(['token', 'list'], { TALLYBOOK_ADMIN_TOKEN: 'of-another' })
  expect(code).toBe(1)
  expect(stderr).toContain('set TALLYBOOK_ADMIN_TOKEN')
  expect(stderr).not.toContain('of-another')
})

test('an audit says which variable is missing', async () => {
  for (const token of ['', 'of-another']) {
    const { code, stderr } = await run(['audit', service.url], { TALLYBOOK_AUDITOR_TOKEN: token })
    expect(code).toBe(2)
    expect(stderr).toContain('set TALLYBOOK_AUDITOR_TOKEN')
  }
})
