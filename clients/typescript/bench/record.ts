import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { TallybookClient } from '../src/index.ts'

// What a call of record costs: `bun clients/typescript/bench/record.ts`. In Node, bytes are exact
// if no garbage is collected meanwhile: build it with `bun build --target=node`, and run the output
// with `node --min-semi-space-size=256 --max-semi-space-size=256`.

const CALLS = 50_000

const spool = await mkdtemp(join(tmpdir(), 'tallybook-bench-'))
const client = await TallybookClient.open({
  ...{ url: 'http://127.0.0.1:1', token: 'none', spool },
  ...{ sealIntervalMs: 3_600_000, sealAt: Number.MAX_SAFE_INTEGER },
})
const counts = { requests: 1, successRequests: 1 }
const dimensions = { model: 'gpt-5', status: '2xx' }
const detailed = { ...counts, dimensions, measures: { input_tokens: 12 } }
const calls: Record<string, (i: number) => void> = {
  'record, by id': (i) => client.record(1 + (i % 50), counts),
  'record, by external id': (i) => client.record(`sk-${i % 2}`, counts),
  recordToken: () => client.recordToken('50d858e0', { requests: 1, tokens: 200 }),
  'record, two dimensions and a measure': (i) => client.record(1 + (i % 50), detailed),
}
for (const [name, call] of Object.entries(calls)) {
  for (let i = 0; i < CALLS; i++) call(i)
  const before = process.memoryUsage().heapUsed
  const started = process.cpuUsage()
  for (let i = 0; i < CALLS; i++) call(i)
  const { user, system } = process.cpuUsage(started)
  const bytes = process.memoryUsage().heapUsed - before
  const ns = Math.round(((user + system) * 1_000) / CALLS)
  console.log(`${name}: ${ns} ns, ${Math.round(bytes / CALLS)} bytes`)
}
await client.close(0)
await rm(spool, { recursive: true })
