import { afterEach, expect, test } from 'bun:test'
import { Writable } from 'node:stream'
import pino from 'pino'
import { appendServiceEvent } from '../../src/log/append-event.ts'
import { connectAsService } from '../../src/platform/postgres/pool.ts'
import { useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// An append that others overtake is rolled back as a whole and retried. On one server the lock of
// the shard's row rules it out; on Citus a shard that moves is briefly in two places. Here a
// trigger raises the error, and a sequence, which no rollback resets, counts how often.

const FLUSH = '/internal/apikey-stats/flush'
const KEYS = { keys: [{ api_key_id: 1, requests: 1 }] }

const lines: { msg: string; reason?: string }[] = []
const output = new Writable({
  write(chunk, _, done) {
    lines.push(JSON.parse(String(chunk)))
    done()
  },
})
const service = useService({ logger: pino({ level: 'warn' }, output) })

/** Makes the first `times` inserts into the log fail with a SQLSTATE. */
async function overtake(times: number, code: string): Promise<void> {
  const { owner } = service.database
  await owner.unsafe(`create sequence overtaken`)
  await owner.unsafe(`grant usage on sequence overtaken to public`)
  await owner.unsafe(`
    create function overtake() returns trigger language plpgsql as $$ begin
      if nextval('tallybook.overtaken') <= ${times} then
        raise exception 'the position is taken' using errcode = '${code}';
      end if;
      return new;
    end $$`)
  await owner.unsafe(`
    create trigger overtake before insert on events for each row execute function overtake()`)
}

afterEach(async () => {
  const { owner } = service.database
  await owner.unsafe('drop trigger overtake on events')
  await owner.unsafe('drop function overtake()')
  await owner.unsafe('drop sequence overtaken')
})

async function countEvents(): Promise<number> {
  const [row] = await service.database.owner<{ events: number }[]>`
    select count(*)::integer as events from events`
  return row!.events
}

for (const code of ['23505', '40001', '40P01']) {
  test(`an overtaken flush (${code}) is appended once`, async () => {
    const before = await countEvents()
    await overtake(2, code)
    const headers = { 'idempotency-key': `overtaken-${code}` }
    const answer = await service.post(FLUSH, KEYS, headers)
    expect(answer.status).toBe(200)
    expect(answer.headers.has('idempotency-replayed')).toBe(false)
    expect(await countEvents()).toBe(before + 1)
  })
}

test('a flush overtaken every time gets 503, is not stored, and the reason is logged', async () => {
  const before = await countEvents()
  await overtake(1_000_000, '23505')
  const answer = await service.post(FLUSH, KEYS)
  expect(answer.status).toBe(503)
  expect(answer.headers.has('retry-after')).toBe(true)
  expect(await answer.json()).toMatchObject({ error: 'log unavailable' })
  expect(await countEvents()).toBe(before)
  const line = await until(
    () => lines.find(({ msg }) => msg === 'log: flushes are refused') ?? null,
  )
  expect(line.reason).toContain('the position is taken')
})

test('an overtaken catalog change is appended once', async () => {
  const before = await countEvents()
  await overtake(2, '23505')
  const answer = await service.putCatalog({ api_keys: [{ id: 1, group_id: 0 }] })
  expect(answer.status).toBe(200)
  expect(await countEvents()).toBe(before + 1)
})

test('an overtaken service event is appended once', async () => {
  const before = await countEvents()
  await overtake(2, '23505')
  const serviceEvent = { type: 'OriginChanged', payload: { origin: 'a', previous: 'b' } } as const
  const sql = connectAsService(service.database.address, 'append')
  const appended = await appendServiceEvent(sql, 0, serviceEvent, 'overtaken')
  await sql.end()
  expect(appended.replayed).toBe(false)
  expect(await countEvents()).toBe(before + 1)
})
