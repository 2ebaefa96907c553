import { beforeAll, describe, expect, test } from 'bun:test'
import { useService } from '../../support/service.ts'
import { auditService, untilSigned, useEdits } from './audited.ts'

// Dimensions, measures and usage by dimension that are changed in the tables of a real service, and
// the audit that finds it on the pages that the service makes of them.

const service = useService()
const edit = useEdits(service)

const path = { key: '/internal/stats/flush', api_key: '/internal/apikey-stats/flush' }
const hourAgoS = Math.floor(Date.now() / 1_000) - 3_600

beforeAll(async () => {
  const named = (...names: string[]) => names.map((name) => ({ name }))
  await service.putCatalog({
    ...{ provider_groups: [{ id: 1 }], api_keys: [{ id: 7, group_id: 1 }, { id: 8 }] },
    ...{ keys: [{ token_hash: 'a' }], dimensions: named('model', 'old') },
    measures: [{ name: 'cost', unit: 'USD' }, { name: 'old' }],
  })
  const details = { dimensions: { model: 'gpt "5"', old: 'x' }, measures: { cost: 5, old: 1 } }
  for (const counted_at of [undefined, hourAgoS]) {
    const keys = [
      { api_key_id: 7, requests: 3, ...details },
      { api_key_id: 7, requests: 2, dimensions: { model: 'o4' }, measures: { cost: 2 ** 53 - 1 } },
      { api_key_id: 8, requests: 1 },
      { api_key: 'unknown', requests: 4, ...details },
    ]
    expect((await service.post(path.api_key, { keys, counted_at })).status).toBe(200)
    const ofKeys = [{ token_hash: 'a', requests: 1, tokens: 9, ...details }]
    expect((await service.post(path.key, { keys: ofKeys, counted_at })).status).toBe(200)
  }
  for (const name of ['dimensions/old', 'measures/old']) {
    await service.fetch('admin', `/admin/${name}`, { method: 'DELETE' })
  }
  await service.fetch('admin', '/admin/unknown-keys/adopt', {
    method: 'POST',
    body: JSON.stringify({ api_keys: [{ external_id: 'unknown', group_id: 1 }] }),
  })
  await untilSigned(service)
})

test('an audit compares them, and finds nothing', async () => {
  expect((await auditService(service)).findings).toEqual([])
})

/** Returns the places of findings, without days and values. */
async function findPlaces(): Promise<Set<string>> {
  const { findings } = await auditService(service)
  expect(new Set(findings.map(({ kind }) => kind))).toEqual(new Set(['total']))
  return new Set(findings.map(({ at }) => at.replace(/ by .*$/, ' by')))
}

describe('a change is reported', () => {
  test.each([
    [
      'dimensions',
      "name = 'made_up'",
      "name = 'model'",
      ['dimensions made_up', 'dimensions model'],
    ],
    ['measures', "unit = 'EUR'", "name = 'cost'", ['measures cost']],
    ['api_key_measures', 'measures[1] = measures[1] + 1', 'api_key_id = 7', ['api-keys 7']],
    [
      ...(['provider_group_parts', 'requests = requests + 1'] as const),
      ...(["provider_group_id = 0 and combination like '%o4%'", ['usage all by']] as const),
    ],
    [
      ...(['api_key_backdated_parts', `combination = replace(combination, 'gpt', 'o')`] as const),
      ...(["api_key_id = 7 and combination like '%gpt%'", ['usage api_keys 7 by']] as const),
    ],
    ['key_parts', "quarter = quarter - interval '1 day'", 'true', ['usage keys a by']],
  ])('in %s: %s where %s', async (table, change, where, places) => {
    await edit([table], (sql) => sql.unsafe(`update ${table} set ${change} where ${where}`))
    expect(await findPlaces()).toEqual(new Set(places))
  })

  test('if rows are not there', async () => {
    await edit(['provider_group_parts'], (sql) => sql`delete from provider_group_parts`)
    expect(await findPlaces()).toEqual(new Set(['usage all by', 'usage provider_groups 1 by']))
  })
})
