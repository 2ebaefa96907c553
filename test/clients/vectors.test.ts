import { expect, test } from 'bun:test'
import answers from '../../clients/conformance/vectors/answers.json'
import flushes from '../../clients/conformance/vectors/flushes.json'
import names from '../../clients/conformance/vectors/names.json'
import {
  type Entry,
  type Flush,
  type FlushName,
  findContained,
  formatBody,
  formatName,
  type Kind,
  PATHS,
  parseBody,
  parseName,
  seal,
  split,
} from '../../clients/typescript/src/flush.ts'
import { findRuns, merge } from '../../clients/typescript/src/merge.ts'
import { classify, delayMs, readRetryAfterMs } from '../../clients/typescript/src/outcome.ts'

// The pure parts of the TypeScript client agree with the vectors that all clients share.

const EPOCH = '9f86d081884c.api'

test('names of files', () => {
  for (const { file, ...name } of names.names) {
    expect(parseName(file)).toEqual(name)
    expect(formatName(name)).toBe(file)
  }
  expect(names.no_flushes.map(parseName)).toEqual(names.no_flushes.map(() => null))
})

test('flushes that others contain', () => {
  for (const { why, files, deleted } of names.contained) {
    const contained = findContained(files.map((file) => ({ file, name: parseName(file)! })))
    expect({ why, deleted: contained.map(({ file }) => file) }).toEqual({ why, deleted })
  }
})

test('what answers mean', () => {
  for (const { status, body, outcome } of answers.outcomes)
    expect({ status, body, outcome: classify(status, body) as string }).toEqual({
      status,
      body,
      outcome,
    })
})

test('delays, and Retry-After', () => {
  for (const { failures, random, retry_after_ms, delay_ms } of answers.delays)
    expect(delayMs(failures, random, retry_after_ms)).toBe(delay_ms)
  for (const { value, ms } of answers.retry_after)
    expect({ value, ms: readRetryAfterMs(value, answers.retry_after_now * 1_000) }).toEqual({
      value,
      ms,
    })
})

test('sealed flushes', () => {
  for (const { kind, epoch, seq, sealed_at, last, entries, flush } of flushes.seals) {
    const name = { epoch, first: seq, last: seq, parts: [] }
    const { instance } = flushes
    const sealed = seal(instance, kind as Kind, name, sealed_at, entries as Entry[], last)
    expect(sealed).toEqual(flush as Flush)
  }
})

test('splits', () => {
  for (const { first, last, parts, key, sequence, keys, result } of flushes.splits) {
    const name = { epoch: EPOCH, first, last, parts }
    const found = split(name, makeFlush(key, sequence, 1, keys))
    const plain = found?.map(({ name, flush }) => ({
      parts: [...name.parts],
      key: flush.key,
      sequence: flush.sequence,
      keys: parseBody(flush).keys,
    }))
    expect(plain ?? null).toEqual(result as typeof plain | null as never)
  }
})

test('merges', () => {
  for (const { flushes: given, result } of flushes.merges) {
    const merged = merge(
      flushes.instance,
      given.map(({ first, last, sealed_at, keys, ...rest }) => ({
        name: nameOf(first, last),
        flush: makeFlush('', 'ends' in rest ? 's;last' : 's', sealed_at, keys as Entry[]),
      })),
    )
    const plain = merged && {
      first: merged.name.first,
      last: merged.name.last,
      sealed_at: merged.flush.sealed_at,
      key: merged.flush.key,
      sequence: merged.flush.sequence,
      keys: parseBody(merged.flush).keys,
    }
    expect(plain).toEqual(result as never)
    if (merged) expect(parseBody(merged.flush).counted_at).toBe(merged.flush.sealed_at)
  }
})

test('neighbours to merge', () => {
  for (const { why, same_quarter, flushes: given, runs } of flushes.runs) {
    const items = given.map(([first, last, sealedAt], index) => ({
      index,
      name: nameOf(first!, last!),
      sealedAt: sealedAt!,
    }))
    const found = findRuns(items, same_quarter).map((run) => run.map(({ index }) => index))
    expect({ why, runs: found }).toEqual({ why, runs })
  }
})

const nameOf = (first: number, last: number): FlushName => ({
  epoch: EPOCH,
  first,
  last,
  parts: [],
})

const makeFlush = (
  key: string,
  sequence: string | null,
  sealed_at: number,
  keys: Entry[],
): Flush => ({
  version: 1,
  path: PATHS.api,
  key,
  sequence,
  sealed_at,
  body: formatBody({ counted_at: sealed_at, keys }),
})
