import { describe, expect, test } from 'bun:test'
import { expectProblem } from '../support/problem.ts'
import { useInstances } from '../support/service.ts'

// Dimensions and measures in the catalog.

const [service, other] = useInstances()

type Change = { version: number; upserted: object; ended: object }

const put = (body: object, instance = service) =>
  instance.fetch('admin', '/admin/catalog', { method: 'PUT', body: JSON.stringify(body) })
const retire = (path: string) => service.fetch('admin', path, { method: 'DELETE' })
const putMeasure = async (row: object) => {
  expect((await put({ measures: [row] })).status).toBe(200)
  return newest()
}

/** The newest change of the catalog. */
async function newest(): Promise<Change> {
  const [row] = await service.database.owner<{ version: number; payload: string }[]>`
    select e.version, e.payload::text as payload
    from events e
    where e.type = 'CatalogChanged'
    order by e.position desc
    limit 1`
  return { version: row!.version, ...JSON.parse(row!.payload) }
}

describe('a change', () => {
  test('counts dimensions and measures if the body has such lists', async () => {
    expect(await (await put({ provider_groups: [{ id: 1 }] })).json()).toEqual({
      ...{ provider_groups: 1, api_keys: 0, keys: 0 },
    })
    expect((await newest()).version).toBe(1)
    const body = {
      api_keys: [{ id: 7, group_id: 1 }],
      dimensions: [{ name: 'model' }, { name: 'status' }],
      measures: [{ name: 'input_tokens' }, { name: 'cost_micros', unit: 'USD/1e6' }],
    }
    expect(await (await put(body)).json()).toEqual({
      ...{ provider_groups: 0, api_keys: 1, keys: 0, dimensions: 2, measures: 2 },
    })
    expect(await newest()).toEqual({
      version: 3,
      upserted: {
        api_keys: [{ id: 7, group_id: 1, name: null }],
        dimensions: [{ name: 'model' }, { name: 'status' }],
        measures: [
          { name: 'input_tokens', number: 0 },
          { name: 'cost_micros', number: 1, unit: 'USD/1e6' },
        ],
      },
      ended: {},
    })
  })

  test('with empty lists is one that an older release can read', async () => {
    expect(await (await put({ dimensions: [], measures: [] })).json()).toEqual({
      ...{ provider_groups: 0, api_keys: 0, keys: 0, dimensions: 0, measures: 0 },
    })
    expect(await newest()).toEqual({ version: 1, upserted: {}, ended: {} })
  })

  test.each([
    ['a name with a capital', { dimensions: [{ name: 'Model' }] }],
    ['a name that begins with a digit', { measures: [{ name: '1st' }] }],
    ['a name of 65 characters', { measures: [{ name: 'x'.repeat(65) }] }],
    ['no name', { dimensions: [{}] }],
    ['a name twice', { dimensions: [{ name: 'a' }, { name: 'a' }] }],
    ['a measure twice', { measures: [{ name: 'a' }, { name: 'a', unit: 'x' }] }],
    ['a unit of a dimension', { dimensions: [{ name: 'a', unit: 'x' }] }],
    ['a unit of 65 characters', { measures: [{ name: 'a', unit: 'x'.repeat(65) }] }],
    ['a NUL in a unit', { measures: [{ name: 'a', unit: 'x\0' }] }],
    ['a number of a measure', { measures: [{ name: 'a', number: 3 }] }],
    ['nine dimensions', { dimensions: [...'abcdefghi'].map((name) => ({ name })) }],
  ])('with %s is refused', async (_, body) => {
    await expectProblem(await put(body), 400, 'invalid catalog')
  })
})

describe('a measure', () => {
  test('keeps its unit until it is changed', async () => {
    expect(await putMeasure({ name: 'cost_micros' })).toMatchObject({
      upserted: { measures: [{ name: 'cost_micros', number: 1, unit: 'USD/1e6' }] },
    })
    expect(await putMeasure({ name: 'cost_micros', unit: 'EUR/1e6' })).toMatchObject({
      upserted: { measures: [{ number: 1, unit: 'EUR/1e6' }] },
    })
    expect((await putMeasure({ name: 'cost_micros', unit: '' })).upserted).toEqual({
      measures: [{ name: 'cost_micros', number: 1 }],
    })
  })

  test('keeps its number when it is retired and declared again', async () => {
    expect((await retire('/admin/measures/input_tokens')).status).toBe(204)
    expect(await newest()).toEqual({
      version: 3,
      upserted: {},
      ended: { measures: [{ name: 'input_tokens', number: 0 }] },
    })
    await expectProblem(await retire('/admin/measures/input_tokens'), 404, 'not found')
    expect(await putMeasure({ name: 'output_tokens' })).toMatchObject({
      upserted: { measures: [{ number: 2 }] },
    })
    const again = { measures: [{ name: 'seconds' }, { name: 'input_tokens' }] }
    expect((await put(again, other)).status).toBe(200)
    expect((await newest()).upserted).toEqual({
      measures: [
        { name: 'seconds', number: 3 },
        { name: 'input_tokens', number: 0 },
      ],
    })
  })

  test('beyond 32 is refused with the rest of the change', async () => {
    const more = Array.from({ length: 28 }, (_, i) => ({ name: `m${i}` }))
    expect((await put({ measures: more })).status).toBe(200)
    const beyond = { api_keys: [{ id: 30 }], measures: [{ name: 'm27' }, { name: 'm28' }] }
    await expectProblem(await put(beyond), 409, 'too many measures')
    await expectProblem(await service.fetch('admin', '/admin/api-keys/30'), 404, 'not found')
    expect((await put({ measures: [{ name: 'm27' }] })).status).toBe(200)
    await retire('/admin/measures/m0')
    expect(await putMeasure({ name: 'm28' })).toMatchObject({
      upserted: { measures: [{ number: 32 }] },
    })
  })
})

describe('a dimension', () => {
  test('is retired once', async () => {
    expect((await retire('/admin/dimensions/status')).status).toBe(204)
    expect(await newest()).toEqual({
      version: 3,
      upserted: {},
      ended: { dimensions: [{ name: 'status' }] },
    })
    await expectProblem(await retire('/admin/dimensions/status'), 404, 'not found')
    await expectProblem(await retire('/admin/dimensions/none'), 404, 'not found')
  })

  test('beyond eight is refused until another is retired', async () => {
    const seven = [...'abcdefg'].map((name) => ({ name }))
    expect((await put({ dimensions: seven })).status).toBe(200)
    await expectProblem(
      await put({ dimensions: [{ name: 'status' }] }, other),
      409,
      'too many dimensions',
    )
    await retire('/admin/dimensions/a')
    expect((await put({ dimensions: [{ name: 'status' }] }, other)).status).toBe(200)
  })

  test('is not declared by an adoption', async () => {
    const body = JSON.stringify({ keys: [{ token_hash: 'a' }], dimensions: [{ name: 'b' }] })
    await expectProblem(
      await service.fetch('admin', '/admin/unknown-keys/adopt', { method: 'POST', body }),
      400,
      'invalid adoption',
    )
  })
})
