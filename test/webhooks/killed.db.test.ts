import { afterAll, expect, test } from 'bun:test'
import { appendRuleEvent } from '../../src/rules/append.ts'
import type { RuleEvent } from '../../src/rules/crossings.ts'
import {
  type DataDir,
  makeDataDir,
  type Process,
  readUrl,
  runTallybook,
} from '../support/process.ts'
import { TEST_SHARDS, urlOf, useDatabase, usePools } from '../support/server.ts'
import { TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'
import { startReceiver } from './receiver.ts'

// A service that is killed with an event between its append and its delivery, or in the middle of
// an attempt: the next one delivers it.

const database = useDatabase()
const pools = usePools(database)
const started: { service: Process; dataDir: DataDir }[] = []
afterAll(async () => {
  for (const { service, dataDir } of started) {
    service.kill('SIGKILL')
    await service.exited
    await dataDir.remove()
  }
})

async function start(): Promise<{ service: Process; url: string }> {
  const dataDir = await makeDataDir()
  const service = runTallybook(['serve'], dataDir.path, {
    DATABASE_URL: urlOf(database.address),
    TALLYBOOK_SHARDS: String(TEST_SHARDS),
    TALLYBOOK_WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
  })
  started.push({ service, dataDir })
  return { service, url: await readUrl(service) }
}

async function kill(service: Process): Promise<void> {
  service.kill('SIGKILL')
  await service.exited
}

const at = '2026-01-31T12:00:00.000000+00:00'
let newest = -1
/** Appends an event of a rule as a service does. */
async function append(id: string): Promise<number> {
  const event: RuleEvent = {
    type: 'RuleCrossed',
    data: {
      rule: { name: 'used', kind: 'quota', percent: 80 },
      subject: { kind: 'key', id },
      value: { quota_used: 80, quota_limit: 100 },
      ...{ at, through: '0/0' },
    },
  }
  newest = (await appendRuleEvent(pools.append, newest, event))!
  return newest
}

test('each event is delivered, whenever the service is killed', async () => {
  const receiver = await startReceiver('hang')
  try {
    const { service, url } = await start()
    const headers = { authorization: `Bearer ${TOKENS.admin}` }
    const post = (path: string, body: object) =>
      fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    await post('/admin/webhooks', { name: 'hook', url: receiver.url })
    const first = await append('a')
    await until(() => receiver.received.length === 1)
    await kill(service)
    const second = await append('b')
    receiver.answer = 200
    // Not after the time for which the attempt keeps others from being made.
    await database.owner`
      update webhook_deliveries set next_attempt_at = now() where state = 'pending'`
    // Rules that are not in the catalog are cleared, which is an event, too.
    await start()
    await until(async () => {
      const rows = await database.owner<{ state: string }[]>`
        select d.state from webhook_deliveries d where d.position <= ${second}`
      return rows.length === 2 && rows.every(({ state }) => state === 'delivered')
    })
    const ids = receiver.received.map(({ headers: all, body }) => [
      all['webhook-id']!.split('_')[2],
      JSON.parse(body).data.position,
    ])
    const sent = (position: number) => ids.filter(([id]) => id === String(position))
    expect(sent(first)).toEqual([
      [String(first), `0/${first}`],
      [String(first), `0/${first}`],
    ])
    expect(sent(second)).toEqual([[String(second), `0/${second}`]])
  } finally {
    await receiver.close()
  }
})
