import { beforeEach, describe, expect, test } from 'bun:test'
import type { ServedPage } from '../../../src/proofs/verifier/sources/source.ts'
import { auditLog, fillLog, MemoryLog } from './memory.ts'

// Wrong pages of an honest log.

let log: MemoryLog
beforeEach(() => {
  log = fillLog(new MemoryLog(2))
})

type Row = Record<string, unknown>

/** Serves the rows of a page as changed by `change`. */
const serve = (path: string, change: (rows: Row[]) => unknown[]) => {
  log.tampered.page = (one, page) =>
    one === path ? { ...page, rows: change(page.rows as Row[]) } : page
}

const found = async () => (await auditLog(log)).found

describe('a row', () => {
  test.each([
    ['summary', 'total_requests', 1, 'total summary'],
    ['summary', 'failure_requests', 1, 'total summary'],
    ['summary', 'success_rate', 0.5, 'total summary'],
    ['summary', 'total_requests', '32', 'total summary'],
    ['provider-groups', 'failure_rate', 0, 'total provider-groups 1'],
    ['provider-groups', 'name', 'else', 'total provider-groups 1'],
    ['provider-groups', 'external_id', null, 'total provider-groups 1'],
    ['api-keys', 'external_id', 'sk-7', 'total api-keys 7'],
    ['api-keys', 'success_requests', 1, 'total api-keys 7'],
    ['api-keys', 'group_id', 2, 'total api-keys 7'],
    ['api-keys', 'ended_at', '2026-01-31T12:00:00.000000+00:00', 'total api-keys 7'],
    ['keys', 'request_count', 1, 'total keys a'],
    ['keys', 'used_tokens', null, 'total keys a'],
    ['keys', 'quota_used', 1, 'total keys a'],
    ['keys', 'quota_limit', 1, 'total keys a'],
    ['keys', 'last_accessed_at', null, 'total keys a'],
    ['keys', 'name', { toString: 1 }, 'total keys a'],
  ])('of %s with another %s is reported', async (path, field, value, at) => {
    serve(path, (rows) => rows.map((row, i) => (i === 0 ? { ...row, [field]: value } : row)))
    expect(await found()).toContain(at)
  })

  test('that is missing from the first or last page is reported', async () => {
    for (const id of [7, 8, 9]) {
      serve('api-keys', (rows) => rows.filter((row) => row.id !== id))
      expect(await found()).toEqual([`total api-keys ${id}`])
    }
    serve('keys', () => [])
    expect(await found()).toEqual(['total keys a'])
  })

  test('that a list has twice is reported, in a row or further apart', async () => {
    // The first row of each of the two pages.
    serve('api-keys', (rows) => [rows[0]!, ...rows])
    expect(await found()).toEqual(['total api-keys 7', 'total api-keys 9'])
    serve('keys', (rows) => [...rows, ...rows])
    expect(await found()).toEqual(['total keys a'])
    serve('provider-groups', (rows) => [...rows, rows[0]!])
    expect(await found()).toEqual(['total provider-groups 1'])
  })

  test('that is not in the log is reported', async () => {
    serve('provider-groups', (rows) => [...rows, { ...rows[0], id: 2 }])
    expect(await found()).toContain('total provider-groups 2')
  })

  test('that is retired must be listed with its end and its counters', async () => {
    const ended = { id: 7, group_id: 1, name: null }
    log.append('CatalogChanged', { upserted: {}, ended: { api_keys: [ended] } })
    expect(await found()).toEqual([])
    for (const change of [{ ended_at: undefined }, { total_requests: 21 }]) {
      serve('api-keys', (rows) => rows.map((row) => (row.id === 7 ? { ...row, ...change } : row)))
      expect(await found()).toEqual(['total api-keys 7'])
    }
    serve('api-keys', (rows) => rows.filter(({ id }) => id !== 7))
    expect(await found()).toEqual(['total api-keys 7'])
  })

  test.each([
    [[null]],
    [[7]],
    [['x']],
    [[[]]],
    [[{}]],
    [[{ id: { toString: 1 } }]],
    [[{ id: '__proto__' }]],
  ])('that is invalid (%j) is reported', async (rows) => {
    for (const path of ['summary', 'provider-groups', 'api-keys', 'keys']) {
      serve(path, () => rows)
      expect((await found()).join()).toContain(`total ${path}`)
    }
  })
})

describe('a page', () => {
  const at = (path: string, change: (page: ServedPage) => ServedPage) => {
    log.tampered.page = (one, page) => (one === path ? change(page) : page)
  }

  test('as of a position before the signed head is reported as stale', async () => {
    for (const path of ['summary', 'keys']) {
      at(path, (page) => ({ ...page, positions: [page.positions[0]! - 1, page.positions[1]!] }))
      expect(await found()).toContain(`total ${path}`)
    }
  })

  test('that stays ahead of the signed head is reported', async () => {
    at('keys', (page) => ({ ...page, positions: [7, 99] }))
    expect(await found()).toContain('total shard 1')
  })

  test('of other shards is reported', async () => {
    at('keys', (page) => ({ ...page, positions: [6] }))
    expect(await found()).toContain('total keys')
  })

  test('that is read while the log grows is compared as of its own position', async () => {
    log.tampered.page = (path, page) => {
      if (path === 'api-keys') log.flush(7, 2)
      if (path === 'provider-groups') {
        log.append('CatalogChanged', {
          upserted: { api_keys: [{ id: 3, group_id: 0, name: null }] },
          ended: { keys: [{ token_hash: 'a', quota_limit: 1, name: null }] },
        })
      }
      return page
    }
    expect(await found()).toEqual([])
  })
})
