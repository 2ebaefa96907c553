import { expect, test } from 'bun:test'
import { auditLog, fillLog, type MemoryLog } from './memory.ts'

// The last access of keys that were used in the future: attestations of version 1 state it as it
// was posted, and attestations of version 2 bound it.

const YEAR_10000 = 253_402_300_799

/** A log with a key that was used far in the future, and then again in the past. */
function makeLog(): MemoryLog {
  const log = fillLog()
  log.flushKey('a', 1, 0, YEAR_10000)
  log.flushKey('a', 1)
  log.flushKey('b', 1, 0, 1_700_000_000)
  return log
}

/** Attests the last access in a version by a rule, and returns the findings of an audit. */
async function auditAttested(version: 1 | 2, lastAccess: 'posted' | 'bounded') {
  const log = makeLog()
  const digest = log.fold(0).digest('key_counters', { lastAccess })
  const change = ({ tables }: { tables: { table: string }[] }) =>
    Object.assign(tables.find(({ table }) => table === 'key_counters')!, digest)
  const { position } = log.attest(0, change, version)
  return { found: (await auditLog(log)).found, at: `attestation 0/${position}` }
}

test('an attestation by the rule of its version causes no finding', async () => {
  expect((await auditAttested(1, 'posted')).found).toEqual([])
  expect((await auditAttested(2, 'bounded')).found).toEqual([])
})

test('an attestation by the rule of the other version is reported', async () => {
  for (const [version, rule] of [[1, 'bounded'] as const, [2, 'posted'] as const]) {
    const { found, at } = await auditAttested(version, rule)
    expect(found).toEqual([at])
  }
})

test('the rules differ only if a key was used in the future', () => {
  const log = fillLog()
  log.flushKey('a', 1)
  const digest = (lastAccess: 'posted' | 'bounded') =>
    log.fold(0).digest('key_counters', { lastAccess })
  expect(digest('posted')).toEqual(digest('bounded'))
})
