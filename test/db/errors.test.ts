import { expect, test } from 'bun:test'
import { isConnectionLost, isUnavailable, NotNow } from '../../src/db/errors.ts'

// Whether a client is told to come again (503) hangs on what an error says.

const errorOf = (code: string) => Object.assign(new Error(code), { code })

test.each([
  ['08006', 'the connection failed'],
  ['40001', 'a conflict with another transaction'],
  ['40P01', 'a deadlock'],
  ['53100', 'a full disk'],
  ['53300', 'too many connections'],
  ['57P01', 'a server that shuts down'],
  ['57P02', 'a server that crashed'],
  ['57P03', 'a server that starts'],
  ['57014', 'a statement that took too long'],
  ['58030', 'a broken disk'],
  ['55P03', 'a lock that was not had in time'],
  ['25006', 'a server that became read-only'],
  ['25P03', 'a transaction that was idle for too long'],
  ['TB002', 'clocks that are apart'],
])('%s, %s, passes: later it may succeed', (code) => {
  expect(isUnavailable(errorOf(code))).toBe(true)
  expect(isConnectionLost(errorOf(code))).toBe(false)
})

test.each(['CONNECTION_CLOSED', 'ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'CONNECT_TIMEOUT'])(
  '%s is a connection that is lost, and passes',
  (code) => {
    expect(isUnavailable(errorOf(code))).toBe(true)
    expect(isConnectionLost(errorOf(code))).toBe(true)
  },
)

test.each(['23505', '22P02', '42601', '42501', 'TB001', 'EACCES', '5'])('%s stays', (code) => {
  expect(isUnavailable(errorOf(code))).toBe(false)
})

test('an error without a code stays, unless it says that it passes', () => {
  expect(isUnavailable(new NotNow('the catalog changes too often'))).toBe(true)
  for (const error of [new Error('a mistake'), 'text', null, undefined, { code: 57 }]) {
    expect(isUnavailable(error)).toBe(false)
  }
})
