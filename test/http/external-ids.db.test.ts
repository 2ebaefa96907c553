import { describe, expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// Provider groups and API keys by the names that a gateway uses.

const service = useService()

type Row = { id: number; external_id: string | null; name: string | null; group_id?: number }
type Page = { items: Row[] }

const put = (body: object) =>
  service.fetch('admin', '/admin/catalog', { method: 'PUT', body: JSON.stringify(body) })
const retire = (path: string) => service.fetch('admin', path, { method: 'DELETE' })
const read = (path: string) => service.read<Row>(path)

describe('a row', () => {
  test('without an id gets the one above the highest that was ever used', async () => {
    await service.putCatalog({
      provider_groups: [{ external_id: 'first' }],
      api_keys: [{ id: 7 }, { id: 2 ** 53 - 1 }, { external_id: 'a' }, { id: 9 }],
    })
    expect(await read('/admin/provider-groups/ext:first')).toMatchObject({ id: 1 })
    expect(await read('/admin/api-keys/ext:a')).toMatchObject({ id: 10, external_id: 'a' })
    expect((await retire('/admin/api-keys/10')).status).toBe(204)
    await service.putCatalog({ api_keys: [{ external_id: 'b' }] })
    expect(await read('/admin/api-keys/ext:b')).toMatchObject({ id: 11 })
    await service.putCatalog({ api_keys: [{ id: 13 }] })
    await service.putCatalog({ api_keys: [{ external_id: 'after' }] })
    expect(await read('/admin/api-keys/ext:after')).toMatchObject({ id: 14 })
  })

  test.each([
    [20, 'c'],
    // Above the ids that are given to new rows.
    [2 ** 53 - 2, 'large'],
  ])('with id %p is changed by its id, by its external id, or by both', async (id, external_id) => {
    await service.putCatalog({ api_keys: [{ id, external_id, name: 'one' }] })
    await service.putCatalog({ api_keys: [{ id, name: 'two' }] })
    expect(await read(`/admin/api-keys/${id}`)).toMatchObject({ external_id, name: 'two' })
    expect((await put({ api_keys: [{ external_id, name: 'three' }] })).status).toBe(200)
    expect((await put({ api_keys: [{ id, external_id, group_id: 1 }] })).status).toBe(200)
    expect(await read(`/admin/api-keys/${id}`)).toMatchObject({ name: 'three', group_id: 1 })
  })

  test('can get an external id later, and keeps it after it was retired', async () => {
    await service.putCatalog({ api_keys: [{ id: 21, external_id: null }] })
    expect(await read('/admin/api-keys/21')).toMatchObject({ external_id: null })
    await service.putCatalog({ api_keys: [{ id: 21, external_id: 'd' }] })
    await retire('/admin/api-keys/ext:d')
    expect(await read('/admin/api-keys/ext:d?ended=true')).toMatchObject({ id: 21 })
    await service.putCatalog({ api_keys: [{ id: 21 }] })
    expect(await read('/admin/api-keys/21')).toMatchObject({ external_id: 'd' })
  })

  test.each([
    ['another external id for a row that has one', { id: 20, external_id: 'e' }],
    ['an external id of another row', { id: 22, external_id: 'c' }],
    ['an external id of a retired row', { id: 22, external_id: 'a' }],
  ])('is not changed by %s', async (_, row) => {
    await expectProblem(await put({ api_keys: [row] }), 409, 'external id conflict')
    await expectProblem(await put({ api_keys: [{ id: 23 }, row] }), 409, 'external id conflict')
    await expectProblem(await service.fetch('admin', '/admin/api-keys/23'), 404, 'not found')
  })

  test('named twice in one request is refused', async () => {
    const twice = [{ id: 20 }, { external_id: 'c' }]
    await expectProblem(await put({ api_keys: twice }), 409, 'external id conflict')
    const same = [{ external_id: 'new' }, { external_id: 'new' }]
    await expectProblem(await put({ provider_groups: same }), 400, 'invalid catalog')
  })

  test('of another kind may have the same external id', async () => {
    await service.putCatalog({ provider_groups: [{ external_id: 'c' }] })
    expect((await read('/admin/provider-groups/ext:c')).id).not.toBe(20)
  })

  test.each([
    ['no name at all', { name: 'x' }],
    ['an empty external id', { external_id: '' }],
    ['surrounding white space', { external_id: ' x' }],
    ['256 characters', { external_id: 'x'.repeat(256) }],
    ['a NUL', { external_id: 'x\0y' }],
    ['a lone surrogate', { external_id: '\ud800' }],
  ])('with %s is refused', async (_, row) => {
    await expectProblem(await put({ api_keys: [row] }), 400, 'invalid catalog')
    await expectProblem(await put({ provider_groups: [row] }), 400, 'invalid catalog')
  })
})

describe('an external id', () => {
  const NAME = 'gw/1 ?é:x%2F'
  const path = `/admin/api-keys/ext:${encodeURIComponent(NAME)}`

  test('is percent-encoded in a path', async () => {
    await service.putCatalog({ api_keys: [{ external_id: NAME }, { external_id: 'GW/1 ?é:x%2F' }] })
    expect((await read(path)).external_id).toBe(NAME)
    await service.putCatalog({ api_keys: [{ external_id: 'x'.repeat(255) }] })
    expect(await read(`/admin/api-keys/ext:${'x'.repeat(255)}`)).toBeDefined()
  })

  test('selects a row of a list, and is searched', async () => {
    const list = `/admin/api-keys?external_id=${encodeURIComponent(NAME)}`
    expect((await service.read<Page>(list)).items.map((row) => row.external_id)).toEqual([NAME])
    const found = await service.read<Page>('/admin/api-keys?search=gw/1')
    expect(found.items.map((row) => row.external_id)).toEqual([NAME])
    const none = await service.read<Page>('/admin/provider-groups?external_id=none')
    expect(none.items).toEqual([])
  })

  test('is not shown as of a time before it was set', async () => {
    const before = positionOf(await put({ api_keys: [{ id: 30, name: 'early' }] }))
    await service.putCatalog({ api_keys: [{ id: 30, external_id: 'late' }] })
    const past = await read(`/admin/api-keys/ext:late?as_of_position=${before}`)
    expect(past).toMatchObject({ id: 30, external_id: null, name: 'early' })
    expect(await read('/admin/api-keys/ext:late')).toMatchObject({ external_id: 'late' })
  })

  test('that no row has is not found', async () => {
    for (const where of ['api-keys/ext:none', 'provider-groups/ext:none']) {
      await expectProblem(await service.fetch('admin', `/admin/${where}`), 404, 'not found')
      await expectProblem(await retire(`/admin/${where}`), 404, 'not found')
    }
    await expectProblem(
      await service.fetch('admin', '/admin/api-keys/ext:'),
      400,
      'invalid request',
    )
  })
})

describe('a flush', () => {
  const post = (...keys: object[]) => service.post('/internal/apikey-stats/flush', { keys })

  test('counts entries by external id', async () => {
    await service.putCatalog({ api_keys: [{ id: 40, external_id: 'k' }] })
    const response = await post(
      { api_key: ' k ', requests: 2, success_requests: 1 },
      { api_key_id: 40, api_key: 'k', requests: 1 },
      { api_key_id: 40, api_key: '  ', requests: 1 },
      { api_key_id: 40, api_key: null, requests: 1 },
      { api_key: '', requests: 1 },
      { api_key: 'unknown', requests: 1 },
    )
    expect(await response.json()).toEqual({ updated: 1, groups_updated: 0 })
    expect(await read('/admin/api-keys/40')).toMatchObject({ total_requests: 5 })
    const at = positionOf(response)
    const event = await service.read<{ entries: object[] }>(`/audit/events/${at}`)
    expect(event.entries).toContainEqual({
      ...{ api_key_id: null, api_key: 'unknown', group_id: null },
      ...{ requests: 1, success_requests: 0 },
    })
  })

  test('with an entry that names two keys is refused', async () => {
    await service.putCatalog({ api_keys: [{ id: 41 }] })
    const two = { api_key_id: 41, api_key: 'k', requests: 1 }
    await expectProblem(
      await post({ requests: 1 }, { api_key_id: 41, requests: 1 }, two),
      400,
      'invalid stats payload',
    )
    expect(await read('/admin/api-keys/41')).toMatchObject({ total_requests: 0 })
  })

  test.each([
    ['a number', 7, 'invalid request body'],
    ['a NUL', 'a\0', 'invalid request body'],
  ])('with %s as a name is refused', async (_, api_key, error) => {
    await expectProblem(await post({ api_key, requests: 1 }), 400, error)
  })
})
