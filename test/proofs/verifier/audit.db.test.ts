import { describe, expect, test } from 'bun:test'
import { hashPayload } from '../../../src/events/event.ts'
import { editLog, insertEmptyFlushes } from '../../support/events.ts'
import { rebuildByHttp } from '../../support/rebuild.ts'
import {
  type AuditedOptions,
  auditService,
  fillService,
  findFlush,
  findKinds,
  openAudit,
  readHeads,
  untilSigned,
  useEdits,
  useFilledService,
} from './audited.ts'

// A real service whose log is edited behind its back, and the audit that finds it.

const service = useFilledService()
const edit = useEdits(service)

const found = (options: AuditedOptions = {}) => findKinds(service, options)

describe('an audit of an honest log', () => {
  test('checks all of it and finds nothing', async () => {
    const { report, findings } = await auditService(service)
    expect(findings).toEqual([])
    expect(report.heads.size).toBe(service.shards)
    const [row] = await service.database.owner`
      select count(*)::integer as events,
        count(*) filter (where type = 'ProjectionAttested')::integer as attestations
      from events`
    expect(report.events).toBe(row!.events as number)
    // Nine tables and the totals in shard 0, six tables and the totals in others.
    expect(report.claims).toBeGreaterThanOrEqual(7 * (row!.attestations as number))
    expect(report.missedClaims).toBe(0)
    // The summary, two groups, three API keys (one of them retired), three token keys.
    expect(report.rows).toBe(9)
    const scopes = report.usage!.scopes.map(({ kind, compared, of }) => [kind, compared, of])
    expect(scopes).toEqual([
      ['all', 1, 1],
      ['provider_groups', 2, 2],
      ['api_keys', 3, 3],
      ['keys', 3, 3],
    ])
    // Two days and perhaps a third, by the hour.
    expect(report.usage!.buckets).toBeGreaterThanOrEqual(9 * 48)
    expect(report.usage!.outside).toBe(0)
  })

  test('continues with new events and finds nothing', async () => {
    const { audit, findings } = await openAudit(service)
    const first = await audit.run()
    await fillService(service)
    await untilSigned(service)
    const second = await audit.run()
    expect(findings).toEqual([])
    expect(second.events).toBeGreaterThan(first.events)
    expect(second.claims).toBeGreaterThan(first.claims)
  })

  test('finds nothing with stored heads of an earlier time', async () => {
    const kept = await readHeads(service)
    await fillService(service)
    await untilSigned(service)
    expect(await found({ kept })).toEqual({})
    expect(await found({ kept, headsOnly: true })).toEqual({})
  })

  test('finds nothing after a rebuild', async () => {
    await rebuildByHttp(service, ['api_key_counters'])
    await service.fetch('admin', '/admin/attestations', { method: 'POST' })
    expect(await found()).toEqual({})
  })
})

describe('an event', () => {
  test('that was rewritten is reported', async () => {
    const { shard, position } = await findFlush(service)
    await edit(
      ['events'],
      (sql) => sql`update events set source = 'else'
        where shard = ${shard} and position = ${position}`,
    )
    const kinds = await found()
    expect(kinds.rewritten).toBe(`${shard}/${position}`)
    expect(kinds.published).toBe(`${shard}/${position}`)
    expect(kinds.root).toBe(`shard ${shard}`)
  })

  test('whose payload was changed is reported, whether its hash was updated or not', async () => {
    const { shard, position } = await findFlush(service)
    const payload =
      '{"groups":[1],"counts":[1],"ids":[7],"requests":[1],"failing":[],"failures":[]}'
    await edit(
      ['events'],
      (sql) => sql`update events set payload = ${payload}::text::json
        where shard = ${shard} and position = ${position}`,
    )
    const kinds = await found()
    expect(kinds.payload).toBe(`${shard}/${position}`)
    expect(kinds.attestation).toBeDefined()
    await edit(
      ['events'],
      (sql) => sql`update events set payload_sha256 = decode(${hashPayload(payload)}, 'hex')
        where shard = ${shard} and position = ${position}`,
    )
    expect((await found()).rewritten).toBe(`${shard}/${position}`)
  })

  test('that was rewritten with its leaf contradicts the signed root', async () => {
    const { shard, position } = await findFlush(service)
    const kept = await readHeads(service)
    await edit(['events', 'tiles'], async (sql) => {
      await sql`update events set source = 'else' where shard = ${shard} and position = ${position}`
      await sql`
        update tiles t set hashes = overlay(t.hashes placing (
          select leaf_hash(e.shard, e.position, e.type, e.version, e.recorded_at, e.source,
            e.idempotency_key, e.payload_sha256)
          from events e where e.shard = ${shard} and e.position = ${position}
        ) from ${position * 32 + 1})
        where t.shard = ${shard} and t.level = 0 and t.number = 0`
    })
    expect((await found()).root).toBe(`shard ${shard}`)
    expect((await found({ kept })).fork).toBe(`shard ${shard}`)
  })

  test('that was deleted is reported', async () => {
    const { shard, position } = await findFlush(service)
    await edit(
      ['events'],
      (sql) => sql`delete from events where shard = ${shard} and position = ${position}`,
    )
    expect(await found()).toMatchObject({ order: `${shard}/${position}` })
  })

  test('that is later than the next one is reported', async () => {
    const { shard } = await findFlush(service)
    await edit(
      ['events'],
      (sql) => sql`update events set recorded_at = recorded_at + interval '1 day'
        where shard = ${shard} and position = 0`,
    )
    expect((await found()).order).toBe(`${shard}/1`)
  })
})

describe('a tile', () => {
  test('of level 0 that differs from the events is reported at the first difference', async () => {
    const { shard, position } = await findFlush(service)
    await edit(
      ['tiles'],
      (sql) => sql`
        update tiles set hashes = set_byte(hashes, ${position * 32}, 255 - get_byte(hashes, ${position * 32}))
        where shard = ${shard} and level = 0`,
    )
    expect(await found()).toEqual({
      rewritten: `${shard}/${position}`,
      published: `${shard}/${position}`,
    })
  })
})

describe('a total', () => {
  test.each([
    ['api_key_counters', 'requests = requests + 1', 'api-keys 7'],
    ['provider_group_counters', 'successes = successes - 1', 'provider-groups 1'],
    ['key_counters', 'last_accessed_at = 7', 'keys a'],
    ['api_keys', 'group_id = 2', 'api-keys 7'],
    ['keys', 'quota_limit = 5', 'keys a'],
    ['provider_groups', "name = 'else'", 'provider-groups 1'],
  ])('changed in %s (%s) is reported', async (table, change, at) => {
    await edit([table], (sql) => sql.unsafe(`update ${table} set ${change}`))
    const { findings } = await auditService(service)
    expect(findings.map((finding) => finding.at)).toContain(at)
    expect(new Set(findings.map(({ kind }) => kind))).toEqual(new Set(['total']))
  })

  test('is reported if its row was deleted or retired in the catalog only', async () => {
    await edit(['api_keys'], (sql) => sql`delete from api_keys where id = 7`)
    await edit(['keys'], (sql) => sql`update keys set ended_at = now() where token_hash = 'a'`)
    const { findings } = await auditService(service)
    expect(findings.map(({ kind, at }) => `${kind} ${at}`)).toEqual([
      'total api-keys 7',
      'total keys a',
    ])
  })
})

describe('a tile above the leaves', () => {
  const service = useFilledService()

  test('that does not have their roots is reported', async () => {
    const { shard } = await findFlush(service)
    const { owner } = service.database
    await insertEmptyFlushes(owner, shard, 600)
    await untilSigned(service)
    expect(await findKinds(service)).toEqual({})
    await editLog(
      owner,
      (sql) => sql`update tiles set hashes = set_byte(hashes, 40, 255 - get_byte(hashes, 40))
        where shard = ${shard} and level = 1`,
    )
    expect(await findKinds(service)).toEqual({ published: `shard ${shard}` })
  })
})

describe('an attestation', () => {
  const service = useFilledService()

  test('of changed tables is reported with their names', async () => {
    await service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 7, requests: 1 }] })
    await service.read('/admin/apikey-stats/summary')
    const { owner } = service.database
    await owner`update api_key_usage set requests = requests + 1`
    await owner`update provider_groups set name = 'else' where id = 1`
    await service.fetch('admin', '/admin/attestations', { method: 'POST' })
    await untilSigned(service)
    const { findings } = await auditService(service)
    const attestations = findings.filter(({ kind }) => kind === 'attestation')
    const tables = attestations.map(({ message }) => message.split(' ')[0])
    expect(tables).toContain('api_key_usage')
    if (attestations.some(({ at }) => at.startsWith('0/'))) {
      expect(tables).toContain('provider_groups')
    }
  })
})

describe('an audit without a token', () => {
  const service = useFilledService({ logPublic: true })

  test('verifies only what is public', async () => {
    const { report, findings } = await auditService(service, { token: null })
    expect(findings).toEqual([])
    expect([report.events, report.rows, report.heads.size]).toEqual([0, 0, service.shards])
  })
})
