import { expect, test } from 'bun:test'
import { shardOfKey } from '../../src/events/shard-of-key.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { positionOf } from '../support/events.ts'
import { useService } from '../support/service.ts'

// A shard that has seen 100,000 unknown keys keeps no others apart, but other shards may. What acts
// take of such a key in one shard is not missing in the others.

const LISTED = 100_000
const PART = 10_000

const service = useService()
let keys = 0

/** Returns a new idempotency key that a shard gets. */
function keyOf(shard: number): string {
  for (;;) {
    const key = `flush-${keys++}`
    if (shardOfKey('dp', key, service.shards) === shard) return key
  }
}

async function flush(shard: number, keys: object[]): Promise<string> {
  const response = await service.fetch('dp', '/internal/apikey-stats/flush', {
    method: 'POST',
    headers: { 'idempotency-key': keyOf(shard) },
    body: JSON.stringify({ keys }),
  })
  const position = positionOf(response)
  expect(position).toStartWith(`${shard}/`)
  return position
}

const reverse = (position: string) =>
  service.act('/admin/corrections', { reverse: position, reason: 'posted twice' })

async function adopt(external_id: string): Promise<number> {
  const response = await service.fetch('admin', '/admin/unknown-keys/adopt', {
    method: 'POST',
    body: JSON.stringify({ api_keys: [{ external_id }] }),
  })
  return ((await response.json()) as { requests: number }).requests
}

const FULL = 1
const OTHER = 0

test('a shard gets as many unknown keys as it keeps apart', async () => {
  const names = { dimensions: [{ name: 'model' }], measures: [{ name: 'cost' }] }
  await service.putCatalog({ api_keys: [{ id: 1 }], ...names })
  await flush(OTHER, [{ api_key: 'early', requests: 1 }])
  for (let from = 0; from < LISTED; from += PART) {
    const names = Array.from({ length: PART }, (_, i) => `n-${from + i}`)
    await flush(
      FULL,
      names.map((api_key) => ({ api_key, requests: 1 })),
    )
    // A read waits for each part, so that none has to wait for all of them.
    await service.read('/admin/apikey-stats/summary')
  }
})

test('a reversal in the shard that does not list a key takes nothing from the others', async () => {
  const reversed = await flush(FULL, [
    { api_key: 'x', requests: 5 },
    { api_key_id: 1, requests: 1 },
  ])
  await flush(OTHER, [{ api_key: 'x', requests: 7 }])
  await reverse(reversed)
  expect(await adopt('x')).toBe(7)
})

test('neither does an adoption, if the key is retired and named again', async () => {
  const details = { dimensions: { model: 'm' }, measures: { cost: 20 } }
  await flush(FULL, [{ api_key: 'y', requests: 2, ...details }])
  await flush(OTHER, [{ api_key: 'y', requests: 3, measures: { cost: 1 } }])
  expect(await adopt('y')).toBe(5)
  await service.fetch('admin', '/admin/api-keys/ext:y', { method: 'DELETE' })
  await flush(OTHER, [{ api_key: 'y', requests: 4 }])
  await flush(FULL, [{ api_key: 'y', requests: 8 }])
  expect(await adopt('y')).toBe(12)
  expect(await adopt('y')).toBe(0)
  const { measures } = await service.read<{ measures: object }>('/admin/api-keys/ext:y')
  expect(measures).toEqual({ cost: 21 })
})

test('what a shard has listed before the other was full is taken too', async () => {
  expect(await adopt('early')).toBe(1)
  expect(await adopt('n-7')).toBe(1)
})

test('an audit adds up what the acts took', async () => {
  await untilSigned(service)
  const { findings, report } = await auditService(service)
  expect(findings).toEqual([])
  expect(report).toMatchObject({ acts: 6, missedActs: 0 })
})
