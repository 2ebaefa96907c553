import { expect, test } from 'bun:test'
import {
  isConnectionLost,
  isUnavailable,
  nodeOf,
  TemporarilyUnavailable,
} from '../../../src/platform/postgres/errors.ts'

// The code of an error decides whether the client gets 503 and retries.

const errorOf = (code: string) => Object.assign(new Error(code), { code })

test.each([
  ['08006', 'the connection failed'],
  ['40001', 'a conflict with another transaction'],
  ['40P01', 'a deadlock'],
  ['53100', 'a full disk'],
  ['53300', 'too many connections'],
  ['57P01', 'a server that is shutting down'],
  ['57P02', 'a server that crashed'],
  ['57P03', 'a server that is starting'],
  ['57014', 'a statement that took too long'],
  ['58030', 'a broken disk'],
  ['55P03', 'a lock that was not acquired in time'],
  ['25006', 'a server that became read-only'],
  ['25P03', 'a transaction that was idle for too long'],
  ['TB002', 'clocks that disagree'],
])('%s, %s, is temporary', (code) => {
  expect(isUnavailable(errorOf(code))).toBe(true)
  expect(isConnectionLost(errorOf(code))).toBe(false)
})

test.each(['CONNECTION_CLOSED', 'ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'CONNECT_TIMEOUT'])(
  '%s is a lost connection, and temporary',
  (code) => {
    expect(isUnavailable(errorOf(code))).toBe(true)
    expect(isConnectionLost(errorOf(code))).toBe(true)
  },
)

test.each(['23505', '22P02', '42601', '42501', 'TB001', 'EACCES', '5'])(
  '%s is permanent',
  (code) => {
    expect(isUnavailable(errorOf(code))).toBe(false)
  },
)

test('an error without a code is permanent unless it is a TemporarilyUnavailable', () => {
  expect(isUnavailable(new TemporarilyUnavailable('the catalog changes too often'))).toBe(true)
  for (const error of [new Error('a mistake'), 'text', null, undefined, { code: 57 }]) {
    expect(isUnavailable(error)).toBe(false)
  }
})

test('nodeOf finds the cluster node of an error in its message or context', () => {
  const errorOf = (message: string, where?: string) => Object.assign(new Error(message), { where })
  const remote = 'connection to the remote node postgres@10.0.0.7:5432 failed with the following'
  const context = 'SQL statement "select 1"\nwhile executing command on worker-2.internal:6432'
  const cases: [unknown, string | null][] = [
    [errorOf(`${remote} error: Connection refused`), '10.0.0.7:5432'],
    [errorOf('failed to connect to worker-2.internal:6432'), 'worker-2.internal:6432'],
    [errorOf('server closed the connection unexpectedly', context), 'worker-2.internal:6432'],
    [
      new Error('failed 5 times', { cause: errorOf('deadlock', context) }),
      'worker-2.internal:6432',
    ],
    [errorOf('write CONNECTION_CLOSED db.internal:5432'), null],
    [errorOf('could not extend file'), null],
    ['text', null],
  ]
  for (const [error, node] of cases) expect([error, nodeOf(error)]).toEqual([error, node])
})
