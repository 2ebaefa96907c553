import { expect, test } from 'bun:test'
import { isFull } from '../support/full.ts'
import { failOver, NOT_SIGNED } from './failover.ts'

// An address that moves from a primary to its standby under load. What the standby lacked is lost, as
// with any asynchronous replica; what is acknowledged afterwards never is, nor does anything read or
// signed pretend that nothing had happened.

const FLUSHES = isFull ? 300 : 40

test('a synchronous standby loses nothing, with and without a start', async () => {
  for (const restarts of isFull ? [false, true] : [true]) {
    const options = { synchronous: true, restarts, returns: false, flushes: FLUSHES }
    const report = await failOver(options)
    expect(report).toMatchObject({ violations: [], lost: 0, refused: null })
    expect(report.logged.filter((line) => line.includes('not signed'))).toEqual([])
  }
})

test('a running service on a standby that lacks commits goes on, and signs no other tree', async () => {
  // Afterwards the old primary comes back: nothing pretends to be what it is not.
  const options = { synchronous: false, restarts: false, returns: true, flushes: FLUSHES }
  const report = await failOver(options)
  expect(report).toMatchObject({ violations: [], refused: null })
  expect(report.lost).toBeGreaterThan(0)
  expect(report.logged).toContain(NOT_SIGNED)
})

test('a start on it is refused, and a new origin leads out', async () => {
  const options = { synchronous: false, restarts: true, returns: false, flushes: FLUSHES }
  const report = await failOver(options)
  expect(report).toMatchObject({ violations: [], refused: expect.stringContaining('new-origin') })
  expect(report.lost).toBeGreaterThan(0)
})
