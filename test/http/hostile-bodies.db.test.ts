import { beforeAll, expect, test } from 'bun:test'
import { CURRENT } from '../../src/read-model/projections/index.ts'
import { expectProblem, readProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// Large hostile bodies. test/property fuzzes small ones.

/** At this size quadratic time hangs already, and a stack frame per level overflows the stack. */
const LARGE = 2 * 1024 * 1024
/** The default limit of a service. */
const LARGEST = 16 * 1024 * 1024

const service = useService()

beforeAll(async () => {
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})

/** Repeats `text` as often as `size` allows, between `head` and `tail`. */
const fill = (head: string, text: string, tail: string, size = LARGE) =>
  head + text.repeat(Math.floor((size - head.length - tail.length) / text.length)) + tail

const DEEP = Math.floor((LARGE - 20) / 2)

const BODIES: [what: string, body: string][] = [
  ['brackets only, of the largest size', '['.repeat(LARGEST)],
  ['arrays in arrays', `{"keys":${'['.repeat(DEEP)}${']'.repeat(DEEP)}}`],
  ['objects in objects', fill('{"keys":[', '{"a":', '')],
  ['one string', fill('{"keys":"', 'a', '"}')],
  ['one string of escapes', fill('{"keys":"', '\\u0000', '"}')],
  ['one name', fill('{"', 'a', '":1}')],
  ['one number', fill('{"keys":[{"api_key_id":', '9', '}]}')],
  ['an exponent', fill('{"keys":[{"api_key_id":1e', '9', '}]}')],
  ['a name over and over', fill('{"keys":[]', ',"keys":[]', ',"keys":1}')],
  ['entries that are not objects', fill('{"keys":[1', ',1', ']}')],
  ['empty entries', fill('{"keys":[{}', ',{}', ']}')],
  ['arrays between numbers', fill('{"keys":[0', ',[0]', ']}')],
  ['unknown fields', fill('{"keys":[{"x":1}', ',{"x":1}', ']}')],
  ['white space', ' '.repeat(LARGE)],
  ['NUL', '\0'.repeat(LARGE)],
]

test.each(BODIES)('a body of %s is refused', async (_, body) => {
  for (const path of ['/internal/apikey-stats/flush', '/internal/stats/flush']) {
    const response = await service.post(path, body)
    await expectProblem(response, 400, 'invalid request body')
  }
  const put = await service.fetch('admin', '/admin/catalog', { method: 'PUT', body })
  expect((await readProblem(put)).status).toBe(400)
})

const ENTRIES: [what: string, body: string][] = [
  [
    'the same entry over and over, of the largest size',
    fill(
      '{"keys":[{"api_key_id":1,"requests":1,"success_requests":1}',
      ',{"api_key_id":1,"requests":1,"success_requests":1}',
      ']}',
      LARGEST,
    ),
  ],
  ['the shortest entries', fill('{"keys":[{"api_key_id":1}', ',{"api_key_id":1}', ']}')],
  ['brackets in a string', fill('{"keys":[{"api_key_id":1,"requests":1}],"note":"', '[{\\"', '"}')],
]

test.each(ENTRIES)('a body of %s is accepted, and each of its requests counts', async (_, body) => {
  const before = await service.read<{ total_requests: number }>('/admin/apikey-stats/summary')
  const response = await service.post('/internal/apikey-stats/flush', body)
  expect(response.status).toBe(200)
  const after = await service.read<{ total_requests: number }>('/admin/apikey-stats/summary')
  const posted = body.split('"requests":1').length - 1
  expect(after.total_requests - before.total_requests).toBe(posted)
})

test('afterwards the service still counts, and its projections are up to date', async () => {
  const response = await service.post('/internal/apikey-stats/flush', {
    keys: [{ api_key_id: 1, requests: 1 }],
  })
  expect(response.status).toBe(200)
  const { items } = await service.read<{ items: { name: string; lag_events: number }[] }>(
    '/admin/projections',
  )
  const current = items.filter(({ name }) => CURRENT.some((projection) => projection.name === name))
  expect(Math.max(...current.map(({ lag_events }) => lag_events))).toBeLessThanOrEqual(1)
})
