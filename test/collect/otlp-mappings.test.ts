import { expect, test } from 'bun:test'
import { readOtlp } from '../../src/collect/inputs.ts'
import { OTLP_PRESETS, presetsOf } from '../../src/collect/otlp/presets.ts'
import { PRESETS } from '../../src/collect/presets.ts'

// Log records that name a mapping, as shippers of files make them from the lines.

const TARGET = { dimensions: new Set<string>(), measures: new Set<string>(), defaultKey: null }
const presets = [
  ...Object.values(OTLP_PRESETS),
  ...presetsOf({ ...PRESETS, orders: { key: 'account', id: ['number'] } }),
]

type Attributes = Record<string, string>
const attributesOf = (attributes: Attributes) =>
  Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }))

function read(resource: Attributes, ...lines: Attributes[]) {
  const logRecords = lines.map((line) => ({ attributes: attributesOf(line) }))
  const logs = [{ resource: { attributes: attributesOf(resource) }, scopeLogs: [{ logRecords }] }]
  const body = new TextEncoder().encode(JSON.stringify({ resourceLogs: logs }))
  return readOtlp('log', presets, body, true, TARGET)
}

test('a log record is read by the mapping that it names, or its resource', () => {
  const line = { id: 'a1', ts: '1766000070.079', status: '200', key: 'checkout' }
  const record = { id: '["a1"]', key: 'checkout', at: 1766000070, isSuccess: true }
  expect(read({ 'tallybook.mapping': 'nginx' }, line)).toMatchObject([{ kind: 'record', record }])
  expect(read({}, { ...line, 'tallybook.mapping': 'nginx' })).toMatchObject([{ record }])
  const order = { account: 'acme', number: '7', 'tallybook.mapping': 'orders' }
  expect(read({}, order)).toMatchObject([{ record: { id: '["7"]', key: 'acme' } }])
})

test('a log record that names no mapping is not counted, one of an unknown name is malformed', () => {
  const [first, second, third] = read(
    {},
    { key: 'checkout' },
    { key: 'checkout', 'tallybook.mapping': 'ngnix' },
    { 'tallybook.mapping': 'nginx' },
  )
  expect(first).toEqual({ kind: 'ignored' })
  expect(second).toEqual({ kind: 'malformed', reason: 'there is no mapping ngnix' })
  expect(third).toMatchObject({ kind: 'malformed' })
})
