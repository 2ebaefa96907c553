import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Webhook } from 'standardwebhooks'
import { USAGE } from '../../src/cli/webhook.ts'
import { TOKENS, useService } from '../support/service.ts'
import { type Receiver, startReceiver } from '../webhooks/receiver.ts'
import { useCommands } from './one-process.ts'

// `tallybook webhook` manages the webhooks of a running service.

const service = useService({ shards: 1, webhookNetworks: '127.0.0.0/8' })
const commands = useCommands()
let receiver: Receiver
beforeAll(async () => {
  receiver = await startReceiver(202)
})
afterAll(() => receiver.close())

const run = (...args: string[]) =>
  commands.run(['webhook', ...args], {
    TALLYBOOK_PORT: new URL(service.url).port,
    TALLYBOOK_ADMIN_TOKEN: TOKENS.admin,
  })

test('a webhook is created, tested, rotated, disabled and deleted', async () => {
  const created = await run('create', 'pager', receiver.url)
  const secret = created.stdout.trim()
  expect(secret).toStartWith('whsec_')
  expect((await run('test', 'pager')).stdout).toBe('Answered 202\n')
  const { body, headers } = receiver.received.at(-1)!
  expect(new Webhook(secret).verify(body, headers)).toMatchObject({ type: 'webhook.test' })
  expect((await run('rotate', 'pager')).stdout).toMatch(/^whsec_\S+\n$/)
  expect((await run('list')).stdout).toContain(`0 pending  ${receiver.url}`)
  await run('disable', 'pager')
  expect((await run('list')).stdout).toContain('disabled')
  await run('enable', 'pager')
  expect((await run('delete', 'pager')).code).toBe(0)
  expect((await run('list')).stdout).toBe('')
})

test('what the service refuses is an error, and so are wrong arguments', async () => {
  expect(await run('delete', 'none')).toMatchObject({ code: 1 })
  expect(await run('create', 'pager', 'ftp://a.b/')).toMatchObject({ code: 1 })
  for (const args of [[], ['create', 'pager'], ['list', 'pager'], ['test'], ['stop', 'pager']]) {
    const { code, stderr } = await run(...args)
    expect([args, code, stderr.includes(USAGE.split('\n')[0]!)]).toEqual([args, 1, true])
  }
})
