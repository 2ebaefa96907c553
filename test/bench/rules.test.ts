import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  APPEND_BATCH,
  batchPeriodMs,
  connectionsOf,
  distinct,
  IDLE_DELAY,
  largestBatch,
  MAX_SHARDS,
  PROJECTION_GROUPS,
} from '../../bench/plan/rules.ts'

const ROOT = join(import.meta.dir, '../..')

/** Asserts that a source file contains this text, ignoring underscores in numbers. */
function expectLine(path: string, line: string): void {
  expect(readFileSync(join(ROOT, path), 'utf8').replaceAll('_', '')).toContain(
    line.replaceAll('_', ''),
  )
}

test('the rules of a plan agree with the source', () => {
  expectLine(
    'src/log/append.ts',
    `fewest: ${APPEND_BATCH.fewest}, flushes: ${APPEND_BATCH.flushes}, bytes: 4 *`,
  )
  expect(APPEND_BATCH.bytes).toBe(4 * 1024 * 1024)
  expectLine(
    'src/read-model/projector/shard-projector.ts',
    `IDLE = { factor: ${IDLE_DELAY.factor}, shortestMs: ${IDLE_DELAY.shortestMs}, longestMs: 1_000 }`,
  )
  expect(IDLE_DELAY.longestMs).toBe(1_000)
  expectLine(
    'src/read-model/projector/projection-groups.ts',
    `longestMs: ${PROJECTION_GROUPS.usageMs},`,
  )
  expectLine(
    'src/read-model/projector/snapshot-distance.ts',
    `costOfId: ${PROJECTION_GROUPS.snapshotEntriesOfId} }`,
  )
  expectLine('src/service/config.ts', `'TALLYBOOK_SHARDS', 1, ${MAX_SHARDS})`)
  expect(connectionsOf(1)).toBe(2 + 4 + 8 + 1)
  expectLine('src/platform/postgres/pool.ts', 'MAX_APPENDS = 16\n')
  expectLine('src/platform/postgres/pool.ts', 'MAX_PASSES = 8\n')
  expect(connectionsOf(MAX_SHARDS)).toBe(16 + 8 + 8 + 1)
})

test('a batch is followed by an idle delay of nine times its duration, 1 s at most', () => {
  expect(batchPeriodMs(1)).toBe(101)
  expect(batchPeriodMs(50)).toBe(500)
  expect(batchPeriodMs(1_000)).toBe(2_000)
})

test('many draws from few kinds give all kinds, few draws from many kinds all differ', () => {
  expect(distinct(1e6, 100)).toBeCloseTo(100, 6)
  expect(distinct(10, 1e9)).toBeCloseTo(10, 4)
})

test('a batch is bounded by flushes and bytes, and has at least one flush', () => {
  expect(largestBatch(1)).toBe(1_000)
  expect(largestBatch(1024 * 1024)).toBe(4)
  expect(largestBatch(1e9)).toBe(1)
})
