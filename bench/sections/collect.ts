import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { startServer } from '../child.ts'
import { median } from '../measure.ts'
import { readProcess, readResidentMb } from '../scale/processes.ts'

const ROOT = join(import.meta.dir, '../..')
const PROTO = join(ROOT, 'src/collect/otlp/proto')

const ENCODINGS = ['OTLP, protobuf', 'OTLP, JSON', 'LiteLLM, JSON'] as const
type Encoding = (typeof ENCODINGS)[number]

/** What a collector takes of a sender: its service is away, so nothing is posted. */
export type CollectRow = {
  encoding: Encoding
  /** Bytes of prompt and completion in each record. */
  textBytes: number
  recordsPerSecond: number
  /** Processor time of the collector (µs) per record. */
  cpuMicros: number
}

/** Resident memory (MB) of a collector whose service is away, by the records that it has taken. */
export type CollectMemory = { records: number; megabytes: number }

export type Collect = { rows: CollectRow[]; memory: CollectMemory[] }

export type CollectOptions = {
  textBytes: number[]
  recordsPerBody: number
  connections: number
  seconds: number
  rounds: number
  /** Records after which memory is read. */
  memory: number[]
}

type Body = { path: string; type: string; bytes: Uint8Array }

/** Makes bodies whose records have ids that no other has. */
type MakeBody = (records: number, textBytes: number) => Body

let made = 0

const id = () => (made++).toString(16).padStart(16, '0')

const MAKERS: Record<Encoding, MakeBody> = {
  'OTLP, protobuf': (records, textBytes) => ({
    path: '/v1/traces',
    type: 'application/x-protobuf',
    bytes: REQUEST.encode(REQUEST.fromObject(traces(records, textBytes, 'base64'))).finish(),
  }),
  'OTLP, JSON': (records, textBytes) => json('/v1/traces', traces(records, textBytes, 'hex')),
  'LiteLLM, JSON': (records, textBytes) =>
    json(
      '/ingest/litellm',
      Array.from({ length: records }, () => ({
        ...{ id: id(), status: 'success', startTime: 1, endTime: Date.now() / 1_000 },
        ...{ model: 'claude-sonnet', custom_llm_provider: 'anthropic', call_type: 'acompletion' },
        ...{ prompt_tokens: 1200, completion_tokens: 180, response_cost: 0.0123 },
        messages: [{ role: 'user', content: 'x'.repeat(textBytes) }],
        metadata: { user_api_key_hash: `key-${made % 100}`, user_api_key_alias: 'name' },
      })),
    ),
}

const root = new protobuf.Root()
root.resolvePath = (_, target) => join(PROTO, target.split('/').at(-1)!)
const REQUEST = root
  .loadSync('trace_service.proto')
  .lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest')

const json = (path: string, body: unknown): Body => ({
  ...{ path, type: 'application/json' },
  bytes: new TextEncoder().encode(JSON.stringify(body)),
})

function traces(records: number, textBytes: number, encoding: 'hex' | 'base64'): object {
  const bytes = (hex: string) => Buffer.from(hex, 'hex').toString(encoding)
  const attribute = (key: string, value: object) => ({ key, value })
  return {
    resourceSpans: [
      {
        resource: { attributes: [attribute('service.name', { stringValue: 'gateway' })] },
        scopeSpans: [
          {
            scope: { name: 'bench' },
            spans: Array.from({ length: records }, () => ({
              traceId: bytes('5b8efff798038103d269b633813fc60c'),
              spanId: bytes(id()),
              ...{ name: 'chat gpt-5', kind: 3, endTimeUnixNano: `${Date.now()}000000` },
              attributes: [
                attribute('user.id', { stringValue: `key-${made % 100}` }),
                attribute('gen_ai.operation.name', { stringValue: 'chat' }),
                attribute('gen_ai.provider.name', { stringValue: 'openai' }),
                attribute('gen_ai.request.model', { stringValue: 'gpt-5' }),
                attribute('gen_ai.usage.input_tokens', { intValue: '1200' }),
                attribute('gen_ai.usage.cache_read.input_tokens', { intValue: '1024' }),
                attribute('gen_ai.usage.output_tokens', { intValue: '180' }),
                attribute('gen_ai.input.messages', { stringValue: 'x'.repeat(textBytes) }),
              ],
            })),
          },
        ],
      },
    ],
  }
}

export async function measureCollect(options: CollectOptions): Promise<Collect> {
  const rounds: CollectRow[] = []
  for (let round = 0; round < options.rounds; round++) {
    for (const textBytes of options.textBytes) {
      for (const encoding of ENCODINGS) {
        rounds.push(await measureRow(encoding, textBytes, options))
        console.error(`collect: ${encoding}, ${textBytes} bytes of text`)
      }
    }
  }
  const rows = options.textBytes.flatMap((textBytes) =>
    ENCODINGS.map((encoding): CollectRow => {
      const own = rounds.filter((row) => row.encoding === encoding && row.textBytes === textBytes)
      return {
        ...{ encoding, textBytes },
        recordsPerSecond: median(own.map(({ recordsPerSecond }) => recordsPerSecond)),
        cpuMicros: median(own.map(({ cpuMicros }) => cpuMicros)),
      }
    }),
  )
  return { rows, memory: await measureMemory(options) }
}

/** Posts bodies that were made before, over several connections, for some seconds. */
async function measureRow(
  encoding: Encoding,
  textBytes: number,
  { recordsPerBody, connections, seconds }: CollectOptions,
): Promise<CollectRow> {
  return withCollector(async (url, pid) => {
    const make = () => MAKERS[encoding](recordsPerBody, textBytes)
    await post(url, make())
    const bodies = Array.from({ length: 1_000 }, make)
    const before = (await readProcess(pid))!.seconds
    const begun = performance.now()
    const until = begun + seconds * 1_000
    let taken = 0
    await Promise.all(
      Array.from({ length: connections }, async () => {
        for (let body = bodies.pop(); body && performance.now() < until; body = bodies.pop()) {
          await post(url, body)
          taken += recordsPerBody
        }
      }),
    )
    const elapsed = (performance.now() - begun) / 1_000
    const cpu = (await readProcess(pid))!.seconds - before
    return {
      ...{ encoding, textBytes },
      recordsPerSecond: taken / elapsed,
      cpuMicros: (cpu / taken) * 1e6,
    }
  })
}

async function measureMemory(options: CollectOptions): Promise<CollectMemory[]> {
  const { memory, recordsPerBody, connections } = options
  return withCollector(async (url, pid) => {
    const read: CollectMemory[] = []
    let begun = 0
    for (const records of memory) {
      await Promise.all(
        Array.from({ length: connections }, async () => {
          while (begun < records) {
            begun += recordsPerBody
            await post(url, MAKERS['OTLP, protobuf'](recordsPerBody, 1_000))
          }
        }),
      )
      read.push({ records, megabytes: await readResidentMb(pid) })
      console.error(`collect: ${records} records`)
    }
    return read
  })
}

async function post(url: string, { path, type, bytes }: Body): Promise<void> {
  const headers = { 'content-type': type }
  const response = await fetch(url + path, { method: 'POST', body: bytes, headers })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
}

/** Runs a collector on a directory of its own, whose service does not answer. */
async function withCollector<Value>(
  work: (url: string, pid: number) => Promise<Value>,
): Promise<Value> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-bench-collect-'))
  const child = await startServer(
    [process.execPath, '--no-orphans', join(ROOT, 'src/main.ts'), 'collect'],
    {
      TALLYBOOK_COLLECT_URL: 'http://127.0.0.1:1',
      TALLYBOOK_COLLECT_DP_TOKEN: 'bench-token',
      TALLYBOOK_COLLECT_LISTEN: '127.0.0.1:0',
      TALLYBOOK_COLLECT_DIRECTORY: folder,
    },
  )
  try {
    return await work(child.url, child.pid)
  } finally {
    process.kill(child.pid, 'SIGKILL')
    await child.stop()
    await rm(folder, { recursive: true, force: true })
  }
}
