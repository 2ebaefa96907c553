import { beforeAll, expect, test } from 'bun:test'
import { CURRENT } from '../../src/projections/index.ts'
import { useService } from '../support/service.ts'

// Bodies of the largest size that are made to hurt. What is small is fuzzed: test/property.

const LIMIT = 16 * 1024 * 1024

const service = useService()

beforeAll(async () => {
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})

/** `text` as often as the limit allows, between `head` and `tail`. */
const fill = (head: string, text: string, tail: string) =>
  head + text.repeat(Math.floor((LIMIT - head.length - tail.length) / text.length)) + tail

const DEEP = Math.floor((LIMIT - 20) / 2)

const BODIES: [what: string, body: string][] = [
  ['brackets only', '['.repeat(LIMIT)],
  ['arrays in arrays', `{"keys":${'['.repeat(DEEP)}${']'.repeat(DEEP)}}`],
  ['objects in objects', fill('{"keys":[', '{"a":', '')],
  ['one string', fill('{"keys":"', 'a', '"}')],
  ['one string of escapes', fill('{"keys":"', '\\u0000', '"}')],
  ['one name', fill('{"', 'a', '":1}')],
  ['one number', fill('{"keys":[{"api_key_id":', '9', '}]}')],
  ['an exponent', fill('{"keys":[{"api_key_id":1e', '9', '}]}')],
  ['a name over and over', fill('{"keys":[]', ',"keys":[]', ',"keys":1}')],
  ['entries that are no objects', fill('{"keys":[1', ',1', ']}')],
  ['empty entries', fill('{"keys":[{}', ',{}', ']}')],
  ['arrays between numbers', fill('{"keys":[0', ',[0]', ']}')],
  ['unknown fields', fill('{"keys":[{"x":1}', ',{"x":1}', ']}')],
  ['white space', ' '.repeat(LIMIT)],
  ['NUL', '\0'.repeat(LIMIT)],
]

test.each(BODIES)('%s, 16 MiB of it', async (_, body) => {
  for (const path of ['/internal/apikey-stats/flush', '/internal/stats/flush']) {
    const response = await service.post(path, body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: 'invalid request body' })
  }
  const put = await service.fetch('admin', '/admin/catalog', { method: 'PUT', body })
  expect(put.status).toBe(400)
})

const ENTRIES: [what: string, body: string][] = [
  [
    'the same entry over and over',
    fill(
      '{"keys":[{"api_key_id":1,"requests":1,"success_requests":1}',
      ',{"api_key_id":1,"requests":1,"success_requests":1}',
      ']}',
    ),
  ],
  ['the shortest entries', fill('{"keys":[{"api_key_id":1}', ',{"api_key_id":1}', ']}')],
  ['brackets in a string', fill('{"keys":[{"api_key_id":1,"requests":1}],"note":"', '[{\\"', '"}')],
]

test.each(ENTRIES)('%s, 16 MiB of it, is taken, and counted as it says', async (_, body) => {
  const before = await service.read<{ total_requests: number }>('/admin/apikey-stats/summary')
  const response = await service.post('/internal/apikey-stats/flush', body)
  expect(response.status).toBe(200)
  const after = await service.read<{ total_requests: number }>('/admin/apikey-stats/summary')
  const posted = body.split('"requests":1').length - 1
  expect(after.total_requests - before.total_requests).toBe(posted)
})

test('afterwards it is as it was', async () => {
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
