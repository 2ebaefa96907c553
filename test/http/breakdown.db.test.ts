import { describe, expect, test } from 'bun:test'
import { useService } from '../support/service.ts'

// Usage by the values of dimensions, and measures: parts add up to the whole.

const service = useService()
const HASH = 'a'.repeat(64)

const entry = (id: number, requests: number, dimensions: object | null, measures: object = {}) => ({
  ...{ api_key_id: id, requests, success_requests: requests - 1 },
  ...(dimensions && { dimensions }),
  measures,
})

type Item = {
  from: string
  dimensions: Record<string, string | null>
  measures: Record<string, number>
  total_requests: number
  failure_requests: number
}
type Body = { items: Item[]; total: Item }

const inParts = async (path: string) => service.read<Body>(path)
const table = ({ items }: Body) =>
  items.map(({ dimensions, total_requests, measures }) => [
    ...Object.values(dimensions),
    total_requests,
    measures.input_tokens,
  ])

describe('usage by dimension', () => {
  test('a catalog, and flushes with and without dimensions', async () => {
    await service.putCatalog({
      provider_groups: [{ id: 1 }, { id: 2 }],
      api_keys: [
        { id: 1, group_id: 1 },
        { id: 2, group_id: 2 },
        { id: 3, group_id: 0 },
      ],
      keys: [{ token_hash: HASH }],
      dimensions: [{ name: 'model' }, { name: 'status' }],
      measures: [{ name: 'input_tokens' }, { name: 'cost_micros', unit: 'USD/1e6' }],
    })
    const keys = [
      entry(1, 10, { model: 'gpt-5', status: '200' }, { input_tokens: 100 }),
      entry(1, 5, { model: 'o4', status: '200' }, { input_tokens: 7, cost_micros: 3 }),
      entry(2, 4, { model: 'gpt-5' }, { input_tokens: 2 ** 53 - 1 }),
      entry(2, 3, null, { input_tokens: 1 }),
      entry(1, 2, null),
      entry(3, 20, { model: 'gpt-5' }),
    ]
    const posted = await service.post('/internal/apikey-stats/flush', { keys })
    expect(posted.status).toBe(200)
    expect(await posted.json()).toEqual({ updated: 3, groups_updated: 2 })
    const tokens = { token_hash: HASH, requests: 3, tokens: 50, dimensions: { model: 'o4' } }
    const other = await service.post('/internal/stats/flush', { keys: [tokens] })
    expect(other.status).toBe(200)
  })

  test('a breakdown has a row for each value, the largest first, and one without the dimension', async () => {
    const all = await inParts('/admin/breakdown?by=model')
    expect(table(all)).toEqual([
      ['gpt-5', 14, 2 ** 53 + 99],
      ['o4', 5, 7],
      [null, 5, 1],
    ] as never)
    expect(all.total.total_requests).toBe(24)
    expect(table(await inParts('/admin/breakdown?by=model&group_id=2'))).toEqual([
      ['gpt-5', 4, 2 ** 53 - 1],
      [null, 3, 1],
    ])
    expect(table(await inParts('/admin/breakdown?by=model,status&api_key_id=1'))).toEqual([
      ['gpt-5', '200', 10, 100],
      ['o4', '200', 5, 7],
      [null, null, 2, 0],
    ])
    expect(table(await inParts('/admin/breakdown?by=model&api_key_id=3'))).toEqual([
      ['gpt-5', 20, 0],
    ])
    const ofKey = await service.read<Body>(`/admin/breakdown?by=model&token_hash=${HASH}`)
    expect(ofKey.items).toEqual([
      {
        ...{ dimensions: { model: 'o4' }, request_count: 3, used_tokens: 50, quota_used: 0 },
        measures: { input_tokens: 0, cost_micros: 0 },
      },
    ] as never)
  })

  test('values beyond the limit are one', async () => {
    expect(table(await inParts('/admin/breakdown?by=model&limit=1'))).toEqual([
      ['gpt-5', 14, 2 ** 53 + 99],
      [null, 5, 1],
      ['other', 5, 7],
    ] as never)
  })

  test('the largest values are those with the most of what is asked for', async () => {
    const byCost = 'by=model&largest_by=measures.cost_micros'
    expect(table(await inParts(`/admin/breakdown?${byCost}`))).toEqual([
      ['o4', 5, 7],
      ['gpt-5', 14, 2 ** 53 + 99],
      [null, 5, 1],
    ] as never)
    const kept = [
      ['o4', 5, 7],
      [null, 5, 1],
      ['other', 14, 2 ** 53 + 99],
    ] as never
    expect(table(await inParts(`/admin/breakdown?${byCost}&limit=1`))).toEqual(kept)
    const failures = 'largest_by=failure_requests'
    expect(table(await inParts(`/admin/usage?group_by=model&${failures}`)).map(([v]) => v)).toEqual(
      ['gpt-5', null, 'o4'],
    )
    const ofKey = `/admin/breakdown?by=model&token_hash=${HASH}&largest_by=used_tokens`
    expect((await inParts(ofKey)).items).toHaveLength(1)
    for (const wrong of ['used_tokens', 'measures.nothing', 'nothing', 'measures.']) {
      const path = `/admin/breakdown?by=model&largest_by=${wrong}`
      expect((await service.fetch('admin', path)).status).toBe(400)
    }
  })

  test('usage by dimension has the values of each bucket, and the total of all', async () => {
    const divided = await inParts('/admin/usage?group_by=model')
    expect(table(divided)).toEqual([
      ['gpt-5', 14, 2 ** 53 + 99],
      ['o4', 5, 7],
      [null, 5, 1],
    ] as never)
    const whole = await inParts('/admin/usage')
    expect(divided.total).toEqual(whole.total)
    expect(whole.items.at(-1)!.measures).toEqual({
      input_tokens: 2 ** 53 + 107,
      cost_micros: 3,
    } as never)
  })

  test('as of a position, usage by dimension is as it was', async () => {
    const response = await service.fetch('admin', '/admin/usage?group_by=status')
    const position = response.headers.get('tallybook-position')!
    const before = (await response.json()) as Body
    const keys = [entry(1, 1, { model: 'new', status: '200' }, { input_tokens: 5 })]
    expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
    expect(await inParts('/admin/usage?group_by=status')).not.toEqual(before)
    const past = await inParts(`/admin/usage?group_by=status&as_of_position=${position}`)
    expect(past).toEqual(before)
  })

  test('lists and single rows have measures, now and as of a position', async () => {
    const response = await service.fetch('admin', '/admin/api-keys/1')
    const position = response.headers.get('tallybook-position')!
    const before = (await response.json()) as Item
    expect(before.measures).toEqual({ input_tokens: 112, cost_micros: 3 })
    const keys = [entry(1, 1, {}, { cost_micros: 5 })]
    expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
    const { items } = await inParts('/admin/api-keys')
    expect(items.map(({ measures }) => measures)).toEqual([
      { input_tokens: 112, cost_micros: 8 },
      { input_tokens: 2 ** 53, cost_micros: 0 },
      { input_tokens: 0, cost_micros: 0 },
    ])
    expect(await service.read<Item>(`/admin/api-keys/1?as_of_position=${position}`)).toEqual(before)
    const groups = await inParts('/admin/provider-groups')
    expect(groups.items[0]!.measures).toEqual({ input_tokens: 112, cost_micros: 8 })
    const { measures } = await service.read<Item>(`/admin/keys/${HASH}`)
    expect(measures).toEqual({ input_tokens: 0, cost_micros: 0 })
  })

  test('a reversed flush is taken back from its values and measures, as of a position it is not', async () => {
    const read = () => inParts('/admin/breakdown?by=model,status')
    const before = await read()
    const rows = await inParts('/admin/api-keys')
    const keys = [
      entry(1, 9, { model: 'reversed' }, { input_tokens: 2 ** 53 - 1 }),
      entry(1, 9, { model: 'reversed' }, { input_tokens: 2 ** 53 - 1, cost_micros: 1 }),
      entry(2, 8, { model: 'gpt-5', status: '500' }, {}),
      entry(2, 7, null),
      entry(777, 6, { model: 'unknown' }),
    ]
    const posted = await service.post('/internal/apikey-stats/flush', {
      ...{ keys, counted_at: Math.floor(Date.now() / 1_000) - 7_200 },
    })
    const place = posted.headers.get('tallybook-position')!
    const counted = await service.fetch('admin', '/admin/breakdown?by=model,status')
    const position = counted.headers.get('tallybook-position')!
    const between = (await counted.json()) as Body
    expect(table(between)).toContainEqual(['reversed', null, 18, 2 * (2 ** 53 - 1)])
    await service.act('/admin/corrections', { reverse: place, reason: 'posted twice' })
    expect(await read()).toEqual(before)
    expect(await inParts('/admin/api-keys')).toEqual(rows)
    const path = `/admin/breakdown?by=model,status&as_of_position=${position}`
    expect(await inParts(path)).toEqual(between)
    const now = await inParts(`/admin/breakdown?by=model,status&as_of_position=${place}`)
    expect(now.total.total_requests).toBe(between.total.total_requests)
  })

  test('a breakdown as CSV has a column for each dimension and measure', async () => {
    const response = await service.fetch('admin', '/admin/breakdown?by=model&group_id=2&format=csv')
    expect((await response.text()).split('\r\n')).toEqual([
      'model,total_requests,success_requests,failure_requests,success_rate,failure_rate,' +
        'input_tokens,cost_micros',
      `gpt-5,4,3,1,0.75,0.25,${2 ** 53 - 1},0`,
      ',3,2,1,0.6666666666666666,0.3333333333333333,1,0',
      '',
    ])
  })

  test('an unknown dimension, and two that are the same, are refused', async () => {
    for (const by of ['nope', 'model,model', 'Model', '', 'model,status,model']) {
      const response = await service.fetch('admin', `/admin/breakdown?by=${by}`)
      expect(response.status).toBe(400)
    }
  })
})
