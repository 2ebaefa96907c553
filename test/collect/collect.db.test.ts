import { beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import {
  type CollectOptions,
  type CollectProcess,
  readKey,
  useCollectProcess,
} from '../support/collect.ts'
import { freePort } from '../support/free-port.ts'
import { runTallybook } from '../support/process.ts'
import { TOKENS, useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// `tallybook collect` as a process between senders and a service.

const service = useService({ registerPerDay: 1_000 })

const collector = useCollectProcess(service)

beforeAll(() =>
  service.putCatalog({
    ...LLM_CONVENTIONS,
    provider_groups: [{ id: 1, name: 'Anthropic', external_id: 'anthropic' }],
  }),
)
const start = (settings: CollectOptions['settings'] = {}) => collector.start({ settings })
const post: CollectProcess['post'] = (...args) => collector.post(...args)

async function stop(): Promise<void> {
  expect(await collector.stop()).toBe(0)
}

type Record_ = { id: string; key: string } & Record<string, unknown>
const litellm = ({ id, key, ...fields }: Record_) => ({
  ...{ id, status: 'success', startTime: 1, endTime: Date.now() / 1_000 },
  ...{ model: 'claude', custom_llm_provider: 'anthropic', call_type: 'acompletion' },
  ...{ prompt_tokens: 10, completion_tokens: 2, response_cost: 0.001 },
  messages: [{ role: 'user', content: 'a prompt that nobody may keep' }],
  metadata: { user_api_key_hash: key, user_api_key_alias: `name of ${key}` },
  ...fields,
})

const rowOf = (key: string) => readKey(service, key)
const untilCounted = (key: string, requests: number) =>
  until(async () => {
    const row = await rowOf(key)
    return row?.total_requests === requests && row
  })

test('what is posted is counted once, under the names of the gateway', async () => {
  await start()
  const records = [1, 2, 3].map((i) => litellm({ id: `a${i}`, key: 'ka', status: 'success' }))
  const failed = { status: 'failure', error_information: { error_code: '429' } }
  const body = JSON.stringify([...records, litellm({ id: 'a4', key: 'ka', ...failed })])
  const first = await post('/ingest/litellm', Bun.gzipSync(body), { 'content-encoding': 'gzip' })
  const counts = { counted: 4, duplicates: 0, ignored: 0, malformed: 0 }
  expect([first.status, await first.json()]).toEqual([200, counts])
  // Repeated as it was, and in another batch with one that is new.
  expect(await (await post('/ingest/litellm', body)).json()).toMatchObject({ duplicates: 4 })
  const lines = [...records, litellm({ id: 'a5', key: 'ka' })].map((one) => JSON.stringify(one))
  const third = await (await post('/ingest/litellm', lines.join('\n'))).json()
  expect(third).toMatchObject({ counted: 1, duplicates: 3 })
  const row = await untilCounted('ka', 5)
  expect(row).toMatchObject({ name: 'name of ka', group_id: 1, success_requests: 4 })
  expect(row.measures).toMatchObject({ input_tokens: 50, output_tokens: 10, cost_micros: 5_000 })
  const metrics = await (await fetch(`${collector.url}/metrics`)).text()
  expect(metrics).toContain('tallybook_collect_counted_total{input="litellm"} 5\n')
  expect(metrics).toContain('tallybook_collect_duplicates_total{input="litellm"} 7\n')
  expect(metrics).toContain('\ntallybook_client_recorded_total 5\n')
  expect(metrics).toContain('\ntallybook_collect_ids 5\n')
  await stop()
  // A restart knows what was counted.
  await start()
  expect(await (await post('/ingest/litellm', body)).json()).toMatchObject({ duplicates: 4 })
})

test('records without an id are counted once if a sender repeats the body', async () => {
  await start()
  const line = (key: string, time?: number) => ({ response: { status: 200 }, consumer: key, time })
  const body = JSON.stringify([line('kb', 1_766_000_068), line('kb', 1_766_000_068)])
  expect(await (await post('/ingest/apisix', body)).json()).toMatchObject({ counted: 2 })
  expect(await (await post('/ingest/apisix', body)).json()).toMatchObject({ duplicates: 2 })
  // Without a time nothing tells a repeated body from a second one that is alike.
  const bare = JSON.stringify(line('kc'))
  for (let i = 0; i < 2; i++) {
    expect(await (await post('/ingest/apisix', bare)).json()).toMatchObject({ counted: 1 })
  }
  await untilCounted('kb', 2)
  await untilCounted('kc', 2)
})

test('OTLP is answered in its own encoding, and usage is in the hour of its span', async () => {
  await start({ key: 'app.tenant' })
  const seconds = Math.floor(Date.now() / 1_000) - 7_200
  const span = (key: string | null, id: string) => ({
    ...{ traceId: '5b8efff798038103d269b633813fc60c', spanId: id, name: 'chat', kind: 3 },
    endTimeUnixNano: `${seconds}000000000`,
    attributes: Object.entries({
      'gen_ai.operation.name': 'chat',
      ...(key !== null && { 'app.tenant': key }),
    }).map(([name, value]) => ({ key: name, value: { stringValue: value } })),
  })
  const request = (...spans: object[]) =>
    JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] })
  const json = { 'content-type': 'application/json' }
  const good = request(span('kd', 'eee19b7ec3c1b171'), span('kd', 'eee19b7ec3c1b172'))
  const answer = await post('/v1/traces', good, json)
  expect(await answer.text()).toBe('{}')
  expect(answer.headers.get('content-type')).toBe('application/json')
  const partial = await post('/v1/traces', request(span(null, 'eee19b7ec3c1b173')), json)
  expect(await partial.json()).toMatchObject({ partialSuccess: { rejectedSpans: 1 } })
  const empty = await post('/v1/logs', new Uint8Array(), {
    'content-type': 'application/x-protobuf',
  })
  expect([empty.status, (await empty.bytes()).length]).toEqual([200, 0])
  expect((await post('/v1/metrics', new Uint8Array([1, 2, 3]))).status).toBe(200)
  await untilCounted('kd', 2)
  const { items } = await service.read<{ items: { payload: { counted_at: number } }[] }>(
    '/audit/events?type=ApiKeyStatsFlushed&order=desc&limit=1',
  )
  expect(items[0]!.payload.counted_at).toBe(seconds)
})

test('one record that is broken does not keep the others from being counted', async () => {
  await start()
  const good = JSON.stringify(litellm({ id: 'e1', key: 'ke' }))
  const body = [good, '{"id":', JSON.stringify({ status: 'success' }), good].join('\n')
  const answer = await (await post('/ingest/litellm', body)).json()
  expect(answer).toMatchObject({ counted: 1, duplicates: 1, malformed: 2 })
  expect(answer).toHaveProperty('reason')
  await untilCounted('ke', 1)
})

test('what can’t be accepted is answered with a problem', async () => {
  await start({ token: 'sender-1', body_limit_bytes: '2000' })
  const auth = { authorization: 'Bearer sender-1' }
  const record = JSON.stringify(litellm({ id: 'f1', key: 'kf' }))
  const big = Bun.gzipSync(JSON.stringify({ text: 'x'.repeat(3_000) }))
  const statuses = [
    post('/ingest/litellm', record),
    post('/ingest/litellm', record, { authorization: 'Bearer sender-2' }),
    post('/ingest/none', record, auth),
    fetch(`${collector.url}/ingest/litellm`, { headers: auth }),
    post('/ingest/litellm', big, { ...auth, 'content-encoding': 'gzip' }),
    post('/ingest/litellm', 'x', { ...auth, 'content-encoding': 'gzip' }),
    post('/ingest/litellm', record, { ...auth, 'content-encoding': 'br' }),
    post('/v1/traces', 'hello', { ...auth, 'content-type': 'application/json' }),
    post('/ingest/litellm', record, auth),
    fetch(`${collector.url}/health`),
  ].map(async (response) => (await response).status)
  expect(await Promise.all(statuses)).toEqual([401, 401, 404, 405, 413, 400, 415, 400, 200, 200])
})

test('records are accepted while the service is away, and nothing of a prompt is kept', async () => {
  const port = await freePort()
  await start({ url: `http://127.0.0.1:${port}` })
  for (let i = 0; i < 5; i++) {
    const body = JSON.stringify([litellm({ id: `g${i}`, key: 'kg' })])
    expect((await post('/ingest/litellm', body)).status).toBe(200)
  }
  const kept = await Bun.$`grep -rla "nobody may keep" ${collector.folder}`.nothrow().text()
  expect(kept).toBe('')
  await collector.kill()
  expect(await rowOf('kg')).toBeUndefined()
  await start()
  await untilCounted('kg', 5)
})

test('two collectors can’t share a directory', async () => {
  await start()
  const second = runTallybook(['collect'], collector.folder, {
    TALLYBOOK_COLLECT_DP_TOKEN: TOKENS.dp,
    TALLYBOOK_COLLECT_DIRECTORY: join(collector.folder, 'collect'),
    TALLYBOOK_COLLECT_LISTEN: '127.0.0.1:0',
  })
  expect(await second.exited).toBe(1)
  expect(await second.stderr.text()).toContain("can't be used")
})

describe('kill -9', () => {
  const KILLS = 8
  const SENDERS = 4

  test('loses nothing and doubles nothing if senders repeat what was not confirmed', async () => {
    await start()
    let sent = 0
    let isDone = false
    const send = async (sender: number) => {
      for (let n = 0; !isDone; n++) {
        const records = Array.from({ length: 1 + (n % 4) }, (_, i) =>
          litellm({ id: `h${sender}-${n}-${i}`, key: `kh${i}` }),
        )
        sent += records.length
        await until(async () => {
          const answer = await post('/ingest/litellm', JSON.stringify(records)).catch(() => null)
          return answer?.status === 200
        })
      }
    }
    const senders = Array.from({ length: SENDERS }, (_, i) => send(i))
    for (let i = 0; i < KILLS; i++) {
      // Somewhere between two steps of the batches in progress.
      const before = sent
      await until(() => sent >= before + 20 + i)
      await collector.kill()
      await start()
    }
    isDone = true
    await Promise.all(senders)
    const total = async () => {
      const rows = await Promise.all([0, 1, 2, 3].map((i) => rowOf(`kh${i}`)))
      return rows.reduce((sum, row) => sum + (row?.total_requests ?? 0), 0)
    }
    await until(async () => (await total()) >= sent)
    await stop()
    expect(await total()).toBe(sent)
    expect(sent).toBeGreaterThan(50)
  })
})
