import { afterEach, expect, test } from 'bun:test'
import { appendServiceEvent } from '../../src/log/append-event.ts'
import { connectAsService } from '../../src/platform/postgres/pool.ts'
import { useLog } from '../support/log.ts'

// An append that others overtake is rolled back as a whole and retried. On one server the lock of
// the shard's row rules it out; on Citus a shard that moves is briefly in two places. Here a
// trigger raises the error, and a sequence, which no rollback resets, counts how often.

const refusals: string[] = []
const log = useLog({ onRefused: (_, error) => refusals.push(Bun.inspect(error)) })

/** Makes the first `times` inserts into the log fail with a SQLSTATE. */
async function overtake(times: number, code: string): Promise<void> {
  const { owner } = log.database
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
  const { owner } = log.database
  await owner.unsafe('drop trigger overtake on events')
  await owner.unsafe('drop function overtake()')
  await owner.unsafe('drop sequence overtaken')
})

async function countEvents(): Promise<number> {
  const [row] = await log.database.owner<{ events: number }[]>`
    select count(*)::integer as events from events`
  return row!.events
}

for (const code of ['23505', '40001', '40P01']) {
  test(`an overtaken flush (${code}) is appended once`, async () => {
    const before = await countEvents()
    await overtake(2, code)
    const outcome = await log.flush(1, 1, { key: `overtaken-${code}` })
    expect(outcome).toMatchObject({ kind: 'appended', replayed: false })
    expect(await countEvents()).toBe(before + 1)
  })
}

test('a flush overtaken every time is refused, is not stored, and the reason is told', async () => {
  const before = await countEvents()
  await overtake(1_000_000, '23505')
  expect(await log.flush(1, 1)).toEqual({ kind: 'unavailable', reason: 'database' })
  expect(await countEvents()).toBe(before)
  expect(refusals.join()).toContain('the position is taken')
})

test('an overtaken catalog change is appended once', async () => {
  const before = await countEvents()
  await overtake(2, '23505')
  await log.change({ api_keys: [{ id: 1, group_id: 0, name: null }] })
  expect(await countEvents()).toBe(before + 1)
})

test('an overtaken service event is appended once', async () => {
  const before = await countEvents()
  await overtake(2, '23505')
  const serviceEvent = { type: 'OriginChanged', payload: { origin: 'a', previous: 'b' } } as const
  const sql = connectAsService(log.database.address, 'append')
  const appended = await appendServiceEvent(sql, 0, serviceEvent, 'overtaken')
  await sql.end()
  expect(appended.replayed).toBe(false)
  expect(await countEvents()).toBe(before + 1)
})
