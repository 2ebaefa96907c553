import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import { readIngest } from '../../src/collect/inputs.ts'
import { PRESETS } from '../../src/collect/presets.ts'

// Bodies that the code of gateways has sent, recorded as docs/guides/collect-senders.md says: a
// request of a consumer, one of them that called a model, and one of nobody that was refused.

const TARGET = {
  dimensions: new Set<string>(LLM_CONVENTIONS.dimensions.map(({ name }) => name)),
  measures: new Set<string>(LLM_CONVENTIONS.measures.map(({ name }) => name)),
  defaultKey: 'nobody',
}

const read = (preset: string, file: string) =>
  readIngest(PRESETS[preset]!, readFileSync(join(import.meta.dir, 'records', file)), TARGET)

test('what the plugin http-log of Kong 3.9.3 posts is counted', () => {
  const usage = { input_tokens: 10, output_tokens: 5, cost_micros: 10 }
  const dimensions = { model: 'gpt-5-2025', provider: 'openai', status: '2xx' }
  expect(read('kong', 'kong-3.9.3-http-log.json')).toMatchObject([
    { record: { key: 'c1', name: 'acme', group: 'openai', isSuccess: true, measures: {} } },
    { record: { key: 'c1', group: 'openai', dimensions, measures: usage } },
    { record: { key: 'nobody', isSuccess: false, dimensions: { status: '429' } } },
  ])
  const ids = read('kong', 'kong-3.9.3-http-log.json').map(
    (one) => 'record' in one && one.record.id,
  )
  expect(ids).toEqual(ids.map(() => expect.stringMatching(/^\["[0-9a-f]{32}"\]$/)))
})

test.each([
  ['as it is', 'apisix-3.18.0-http-logger.json', /^[\w+/=]+\/[0-2]$/],
  [
    'with the log format of the guide',
    'apisix-3.18.0-http-logger-log-format.json',
    /^\["[0-9a-f]{32}"\]$/,
  ],
])('what the plugin http-logger of APISIX 3.18.0 posts %s is counted', (_, file, id) => {
  const common = { id: expect.stringMatching(id), group: 'chat' }
  const acme = { ...common, key: 'acme', name: 'acme', isSuccess: true }
  const usage = { input_tokens: 6, cache_read_tokens: 4, output_tokens: 5 }
  expect(read('apisix', file)).toMatchObject([
    { record: { ...acme, measures: {} } },
    { record: { ...acme, dimensions: { model: 'gpt-5' }, measures: usage } },
    { record: { ...common, key: 'nobody', isSuccess: false, dimensions: { status: '429' } } },
  ])
})
