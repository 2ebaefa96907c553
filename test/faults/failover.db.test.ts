import { expect, test } from 'bun:test'
import { isFull } from '../support/full.ts'
import { failOver, NOT_SIGNED } from './failover.ts'

// An address moves from a primary to its standby under load. Commits that the standby lacked are
// lost, as with any asynchronous replica. Flushes acknowledged afterwards are never lost, and no
// read and no signature hides what happened.

const FLUSHES = isFull ? 300 : 40

test('failover to a synchronous standby loses nothing, with or without a restart', async () => {
  for (const restarts of isFull ? [false, true] : [true]) {
    const options = { synchronous: true, restarts, returns: false, flushes: FLUSHES }
    const report = await failOver(options)
    expect(report).toMatchObject({ violations: [], lost: 0, refused: null })
    expect(report.logged.filter((line) => line.includes('not signed'))).toEqual([])
  }
})

test('a running service survives a failover with lost commits, signing no other tree', async () => {
  // Afterwards the old primary takes over again.
  const options = { synchronous: false, restarts: false, returns: true, flushes: FLUSHES }
  const report = await failOver(options)
  expect(report).toMatchObject({ violations: [], refused: null })
  expect(report.lost).toBeGreaterThan(0)
  expect(report.logged).toContain(NOT_SIGNED)
})

test('a start after lost commits is refused until the log has a new origin', async () => {
  const options = { synchronous: false, restarts: true, returns: false, flushes: FLUSHES }
  const report = await failOver(options)
  expect(report).toMatchObject({ violations: [], refused: expect.stringContaining('new-origin') })
  expect(report.lost).toBeGreaterThan(0)
})
