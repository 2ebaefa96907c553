import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type postgres from 'postgres'
import { openPools, type Pools, SCHEMA, SERVICE_ROLE } from '../../src/platform/postgres/pool.ts'
import { insertEvent } from '../support/events.ts'
import { TEST_SHARDS, useDatabase } from '../support/server.ts'

// Invariant 2: nothing updates or deletes an event, by grant and by trigger (row and truncate).

const database = useDatabase()
let pools: Pools

beforeAll(async () => {
  pools = openPools(database.address, TEST_SHARDS)
  for (let shard = 0; shard < TEST_SHARDS; shard++) await insertEvent(database.owner, { shard })
})

afterAll(() => pools.close())

/** Every statement by which PostgreSQL can change or remove a row. */
const CHANGES = [
  `update events set source = 'someone'`,
  `update events set payload = payload where position = 0`,
  `update only events_0_0 set recorded_at = now() where shard = 0`,
  `delete from events`,
  `delete from events where position = 0`,
  `with gone as (delete from events returning *) select * from gone`,
  `merge into events e using shards s on e.shard = s.shard when matched then delete`,
  `merge into events e using shards s on e.shard = s.shard
   when matched then update set source = 'someone'`,
  `insert into events select * from events on conflict (shard, position)
   do update set source = 'someone'`,
  `truncate events`,
  `truncate only events_0_0`,
  `truncate events_0_0`,
  `update events_0_0 set source = 'someone'`,
  `delete from only events_0_0`,
  `truncate events restart identity cascade`,
  `truncate shards, events, checkpoints cascade`,
]

const ACTORS: [actor: string, sqlOf: () => postgres.Sql][] = [
  ['the service', () => pools.append],
  ['the owner', () => database.owner],
]

for (const [actor, sqlOf] of ACTORS) {
  describe(`${actor} can't change an event`, () => {
    for (const change of CHANGES) {
      test(change.replace(/\s+/g, ' '), async () => {
        const before = await readAll()
        expect(before).toHaveLength(TEST_SHARDS)
        expect(await sqlStateOf(sqlOf().unsafe(change))).toBe(INSUFFICIENT_PRIVILEGE)
        expect(await readAll()).toEqual(before)
      })
    }
  })
}

test('the error tells the owner what to do instead', async () => {
  const error = await database.owner`delete from events`.catch((error: unknown) => error)
  expect(error).toMatchObject({
    message: 'events are immutable: delete refused',
    hint: 'Append a correcting event instead.',
  })
})

describe('the service can do nothing that would get around this', () => {
  const REFUSED = [
    `alter table events disable trigger all`,
    `alter table events_0_0 disable trigger all`,
    `alter table events_0 detach partition events_0_0`,
    `drop table events_0_0`,
    `insert into events_0_0 select * from events`,
    `select create_segment(0, (select max(end_position) from segments where shard = 0), 256)`,
    `insert into segments (shard, first_position, end_position) values (0, 1, 2)`,
    `alter table events disable trigger events_refuse_change`,
    `drop trigger events_refuse_change on events`,
    `drop table events`,
    `alter table events owner to ${SERVICE_ROLE}`,
    `alter table events rename to events_gone`,
    `create or replace function refuse_change() returns trigger language plpgsql
     as 'begin return new; end'`,
    `alter function refuse_change() owner to ${SERVICE_ROLE}`,
    `drop function refuse_change()`,
    `create trigger mine before insert on events for each row execute function refuse_change()`,
    `create rule mine as on insert to events do instead nothing`,
    `create table ${SCHEMA}.mine ()`,
    `create table public.mine ()`,
    `create schema mine`,
    `create function ${SCHEMA}.mine() returns integer language sql as 'select 1'`,
    `drop schema ${SCHEMA} cascade`,
    `alter schema ${SCHEMA} owner to ${SERVICE_ROLE}`,
    `insert into migrations (number, name, sha256) values (9999, 'mine', '')`,
    `delete from migrations`,
    `insert into shards (shard, catalog_position) values (9999, -1)`,
    `delete from shards`,
    `set session_replication_role = replica`,
    `alter role ${SERVICE_ROLE} superuser`,
  ]
  for (const statement of REFUSED) {
    test(statement.replace(/\s+/g, ' '), async () => {
      // A statement that succeeds is rolled back, so that it fails only its own test.
      const refused = pools.append.begin(async (transaction) => {
        await transaction.unsafe(statement)
        throw new Error('not refused')
      })
      expect(await sqlStateOf(refused)).toBe(INSUFFICIENT_PRIVILEGE)
    })
  }

  test('its role has no attributes and is a member of no other role', async () => {
    const [role] = await database.owner`
      select r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
        r.rolbypassrls,
        (select count(*)::integer from pg_auth_members m where m.member = r.oid) as memberships
      from pg_roles r
      where r.rolname = ${SERVICE_ROLE}`
    expect(role).toEqual({
      rolsuper: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolcanlogin: false,
      rolreplication: false,
      rolbypassrls: false,
      memberships: 0,
    })
  })

  test('no function runs with the privileges of its owner', async () => {
    const functions = await database.owner`
      select p.proname
      from pg_proc p
      where p.pronamespace = ${SCHEMA}::regnamespace and p.prosecdef`
    expect([...functions]).toEqual([])
  })
})

test('the service has these privileges, and no others, on tables, views and columns', async () => {
  const rows = await database.owner<{ name: string; privileges: string }[]>`
    select c.relname as name, string_agg(lower(p.privilege), ' ' order by p.number) as privileges
    from pg_class c
      cross join unnest(string_to_array(${PRIVILEGES}, ' ')) with ordinality as p(privilege, number)
    where c.relnamespace = ${SCHEMA}::regnamespace
      and c.relkind in ('r', 'p', 'v', 'm', 'f')
      and case when p.privilege in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
        then has_any_column_privilege(${SERVICE_ROLE}, c.oid, p.privilege)
        else has_table_privilege(${SERVICE_ROLE}, c.oid, p.privilege)
      end
    group by c.relname`
  expect(Object.fromEntries(rows.map(({ name, privileges }) => [name, privileges]))).toEqual({
    events: 'select insert',
    segments: 'select',
    archived_segments: 'select',
    packed_keys: 'select',
    shards: 'select update',
    migrations: 'select',
    flush_entries: 'select',
    tokens: 'select insert update',
    sessions: 'select insert delete',
    instances: 'select insert update delete',
    tree_heads: 'select insert update',
    tiles: 'select insert update',
    verifications: 'select insert update',
    accepted_days: 'select insert update delete',
    accepted_counts: 'select insert update delete',
    accepted_values: 'select insert delete',
    crossings: DERIVED,
    rule_events: DERIVED,
    rule_folds: DERIVED,
    source_folds: DERIVED,
    webhooks: 'select insert update delete',
    webhook_deliveries: 'select insert update delete',
    source_positions: DERIVED,
    sources: DERIVED,
    source_epochs: DERIVED,
    projections: DERIVED,
    checkpoints: DERIVED,
    parked_events: DERIVED,
    api_key_counters: DERIVED,
    provider_group_counters: DERIVED,
    key_counters: DERIVED,
    api_key_usage: DERIVED,
    provider_group_usage: DERIVED,
    key_usage: DERIVED,
    api_key_backdated_usage: DERIVED,
    provider_group_backdated_usage: DERIVED,
    key_backdated_usage: DERIVED,
    api_key_measures: DERIVED,
    provider_group_measures: DERIVED,
    key_measures: DERIVED,
    api_key_parts: DERIVED,
    provider_group_parts: DERIVED,
    key_parts: DERIVED,
    api_key_backdated_parts: DERIVED,
    api_key_daily_usage: DERIVED,
    api_key_monthly_usage: DERIVED,
    api_key_daily_parts: DERIVED,
    api_key_monthly_parts: DERIVED,
    provider_group_backdated_parts: DERIVED,
    provider_group_daily_usage: DERIVED,
    provider_group_monthly_usage: DERIVED,
    provider_group_daily_parts: DERIVED,
    provider_group_monthly_parts: DERIVED,
    key_backdated_parts: DERIVED,
    key_daily_usage: DERIVED,
    key_monthly_usage: DERIVED,
    key_daily_parts: DERIVED,
    key_monthly_parts: DERIVED,
    api_key_measure_snapshots: DERIVED,
    provider_group_measure_snapshots: DERIVED,
    key_measure_snapshots: DERIVED,
    api_key_snapshots: DERIVED,
    provider_group_snapshots: DERIVED,
    key_snapshots: DERIVED,
    provider_groups: DERIVED,
    provider_group_versions: DERIVED,
    api_keys: DERIVED,
    api_key_versions: DERIVED,
    keys: DERIVED,
    key_versions: DERIVED,
    dimensions: DERIVED,
    dimension_versions: DERIVED,
    measures: DERIVED,
    measure_versions: DERIVED,
    acts: DERIVED,
    openings: DERIVED,
    key_period_usage: DERIVED,
    quota_resets: DERIVED,
    unknown_keys: DERIVED,
    unknown_usage: DERIVED,
    unknown_parts: DERIVED,
    unknown_taken: DERIVED,
    rebuilds: DERIVED,
  })
})

test('with triggers disabled the owner can change an event, and the hash shows it', async () => {
  const changed = database.owner.begin(async (transaction) => {
    await transaction`alter table events disable trigger events_refuse_change`
    await transaction`
      update events set payload = (payload::text || ' ')::json
      where shard = 0 and position = 0`
    const found = await transaction`
      select shard, position::integer
      from events
      where sha256(convert_to(payload::text, 'UTF8')) <> payload_sha256`
    expect([...found]).toEqual([{ shard: 0, position: 0 }])
    throw new Error('rolled back')
  })
  await expect(changed).rejects.toThrow('rolled back')
})

/** Rows derived from the log may be deleted and derived again. */
const DERIVED = 'select insert update delete'
const PRIVILEGES = 'SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER'
const INSUFFICIENT_PRIVILEGE = '42501'

const readAll = async () => [...(await database.owner`select * from events order by shard`)]

/** Returns the SQLSTATE that a statement fails with, or null if it succeeds. */
async function sqlStateOf(statement: Promise<unknown>): Promise<string | null> {
  return statement.then(
    () => null,
    (error: { code?: string; message: string }) => error.code ?? error.message,
  )
}
