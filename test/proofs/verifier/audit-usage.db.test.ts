import { describe, expect, test } from 'bun:test'
import { auditService, openAudit, useEdits, useFilledService } from './audited.ts'

// Usage that is changed in the tables of a real service, and the audit that finds it.

const service = useFilledService()
const edit = useEdits(service)

describe('usage', () => {
  /** Returns the places of the findings, without the hour. */
  const findPlaces = async () => {
    const { findings } = await auditService(service)
    expect(new Set(findings.map(({ kind }) => kind))).toEqual(new Set(['total']))
    return new Set(findings.map(({ at }) => at.replace(/ \d{4}-\S*$/, '')))
  }

  test.each([
    ['api_key_usage', 'requests = requests + 1', 'api_key_id = 7', ['api_keys 7']],
    ['api_key_usage', "quarter = quarter - interval '1 day'", 'api_key_id = 8', ['api_keys 8']],
    [
      'provider_group_usage',
      'successes = 0',
      'true',
      ['all', 'provider_groups 1', 'provider_groups 2'],
    ],
    [
      'provider_group_usage',
      'requests = requests - 1',
      'provider_group_id = 2',
      ['all', 'provider_groups 2'],
    ],
    ['key_usage', 'requests = 7', "token_hash = 'a'", ['keys a']],
    ['key_usage', 'tokens = tokens + 1', "token_hash = 'é'", ['keys é']],
    ['key_usage', 'quota_used = 0', "token_hash = 'a'", ['keys a']],
  ])('changed in %s (%s where %s) is reported', async (table, change, where, places) => {
    await edit([table], (sql) => sql.unsafe(`update ${table} set ${change} where ${where}`))
    expect(await findPlaces()).toEqual(new Set(places.map((place) => `usage ${place}`)))
  })

  test('that was deleted or made up is reported', async () => {
    await edit(['api_key_usage', 'key_usage'], async (sql) => {
      await sql`delete from api_key_usage where api_key_id = 7`
      await sql`
        insert into key_usage (shard, generation, token_hash, quarter, requests, tokens, quota_used)
        select distinct on (token_hash) shard, generation, '😀', quarter - interval '20 days', 1, 0, 0 from key_usage
        where token_hash = 'a'`
    })
    expect(await findPlaces()).toEqual(new Set(['usage api_keys 7', 'usage keys 😀']))
  })

  test('of a retired API key is compared', async () => {
    await edit(
      ['api_key_usage'],
      (sql) => sql`update api_key_usage set requests = 2, successes = 1 where api_key_id = 9`,
    )
    expect(await findPlaces()).toEqual(new Set(['usage api_keys 9']))
  })

  test('that was moved to another hour is reported at both', async () => {
    await edit(
      ['provider_group_usage'],
      (sql) => sql`
        update provider_group_usage set quarter = quarter + interval '1 hour'
        where provider_group_id = 1`,
    )
    const { findings } = await auditService(service)
    const places = new Set(findings.map(({ at }) => at))
    expect(
      [...places].filter((at) => at.startsWith('usage provider_groups 1 ')).length,
    ).toBeGreaterThan(1)
  })

  test('causes no finding while the log grows', async () => {
    const { audit, findings } = await openAudit(service)
    let isOver = false
    const flushing = (async () => {
      for (let i = 0; !isOver; i++) {
        await service.post('/internal/apikey-stats/flush', {
          keys: [{ api_key_id: 7, requests: 1 }],
        })
        await service.post('/internal/stats/flush', { keys: [{ token_hash: 'a', tokens: i }] })
      }
    })()
    const report = await audit.run().finally(() => {
      isOver = true
    })
    await flushing
    expect(findings).toEqual([])
    expect(report.usage!.buckets).toBeGreaterThan(0)
  })
})
