import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  BATCH,
  connectionsOf,
  distinct,
  largestBatch,
  MAX_SHARDS,
  PASS,
  passPeriodMs,
  TRACKS,
} from '../../bench/plan/rules.ts'

const ROOT = join(import.meta.dir, '../..')

/** Numbers that a line of the source holds, with what stands between them as it is. */
function expectLine(path: string, line: string): void {
  expect(readFileSync(join(ROOT, path), 'utf8').replaceAll('_', '')).toContain(
    line.replaceAll('_', ''),
  )
}

test('the rules of a plan are those of the source', () => {
  expectLine('src/log/append.ts', `fewest: ${BATCH.fewest}, flushes: ${BATCH.flushes}, bytes: 4 *`)
  expect(BATCH.bytes).toBe(4 * 1024 * 1024)
  expectLine('src/read-model/projector/shard-projector.ts', `IDLE_FACTOR = ${PASS.restFactor}\n`)
  expectLine(
    'src/read-model/projector/shard-projector.ts',
    `{ shortest: ${PASS.shortestMs}, longest: ${PASS.longestMs} }`,
  )
  expectLine('src/read-model/projector/projection-groups.ts', `longestMs: ${TRACKS.usageMs},`)
  expectLine(
    'src/read-model/projector/projection-groups.ts',
    `costOfId: ${TRACKS.snapshotEntriesOfId} }`,
  )
  expectLine('src/service/config.ts', `'TALLYBOOK_SHARDS', 1, ${MAX_SHARDS})`)
  expect(connectionsOf(1)).toBe(2 + 4 + 8 + 1)
  expectLine('src/platform/postgres/pool.ts', 'MAX_APPENDS = 16\n')
  expectLine('src/platform/postgres/pool.ts', 'MAX_PASSES = 8\n')
  expect(connectionsOf(MAX_SHARDS)).toBe(16 + 8 + 8 + 1)
})

test('a pass rests nine times as long as it took, a second at most', () => {
  expect(passPeriodMs(1)).toBe(101)
  expect(passPeriodMs(50)).toBe(500)
  expect(passPeriodMs(1_000)).toBe(2_000)
})

test('many of few kinds are all of them, few of many are all different', () => {
  expect(distinct(1e6, 100)).toBeCloseTo(100, 6)
  expect(distinct(10, 1e9)).toBeCloseTo(10, 4)
})

test('a batch is bounded by flushes, then by bytes, and holds one at least', () => {
  expect(largestBatch(1)).toBe(1_000)
  expect(largestBatch(1024 * 1024)).toBe(4)
  expect(largestBatch(1e9)).toBe(1)
})
