import { expect, test } from 'bun:test'
import { readTraceSettings } from '../../src/tracing/settings.ts'

// What the variables OTEL_* say about traces.

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318' }

test('traces are off unless a collector is named', () => {
  expect(readTraceSettings({})).toBeNull()
  expect(readTraceSettings({ OTEL_SERVICE_NAME: 'usage' })).toBeNull()
  expect(readTraceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' })).toBeNull()
  expect(readTraceSettings({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://a' })).toBeNull()
  expect(readTraceSettings({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://a' })).not.toBeNull()
})

test('OTEL_SDK_DISABLED and OTEL_TRACES_EXPORTER=none turn them off', () => {
  expect(readTraceSettings({ ...ENDPOINT, OTEL_SDK_DISABLED: 'True' })).toBeNull()
  expect(readTraceSettings({ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' })).toBeNull()
  expect(readTraceSettings({ ...ENDPOINT, OTEL_SDK_DISABLED: 'false' })).not.toBeNull()
})

test('the defaults are those of the specification', () => {
  expect(readTraceSettings(ENDPOINT)).toEqual({
    protocol: 'http/protobuf',
    sampler: { kind: 'always_on', ratio: 1, isParentBased: true },
    queue: { spans: 2_048, batch: 512, delayMs: 5_000, timeoutMs: 30_000 },
    problems: [],
  })
})

test('the variable of traces goes before that of all signals', () => {
  const settings = readTraceSettings({
    ...ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
    OTEL_TRACES_SAMPLER: 'traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
    OTEL_BSP_MAX_QUEUE_SIZE: '100',
  })
  expect(settings).toMatchObject({
    protocol: 'http/json',
    sampler: { kind: 'traceidratio', ratio: 0.25, isParentBased: false },
    queue: { spans: 100, batch: 100 },
  })
})

test('values that cannot be used are named and ignored', () => {
  const settings = readTraceSettings({
    ...ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_TRACES_SAMPLER: 'xray',
    OTEL_TRACES_SAMPLER_ARG: '2',
    OTEL_BSP_SCHEDULE_DELAY: 'soon',
  })
  expect(settings).toMatchObject({
    protocol: 'http/protobuf',
    sampler: { kind: 'always_on', ratio: 1, isParentBased: true },
    queue: { delayMs: 5_000 },
  })
  expect(settings!.problems.map((problem) => problem.split(' ')[0]).sort()).toEqual([
    'OTEL_BSP_SCHEDULE_DELAY',
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    'OTEL_TRACES_SAMPLER',
    'OTEL_TRACES_SAMPLER_ARG',
  ])
})
