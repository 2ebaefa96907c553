import { afterEach, beforeAll, expect, test } from 'bun:test'
import type postgres from 'postgres'
import { openPools } from '../../../src/platform/postgres/pool.ts'
import { readImported } from '../../../src/rules/crossings.ts'
import { useService } from '../../support/service.ts'
import { settle, verify, writeHistory, writeRuleEvents } from './history.ts'

// Tokens, and what rules have crossed, are as the events say that were appended with them, whoever
// changes a row together with its hash.

const service = useService()
let owner: postgres.Sql

const create = (name: string) =>
  service.fetch('admin', '/admin/tokens', {
    method: 'POST',
    body: JSON.stringify({ name, role: 'dp' }),
  })

beforeAll(async () => {
  owner = service.database.owner
  await writeHistory(service)
  // Tokens from before the log was read for an import may be of another database.
  const pools = openPools(service.database.address, service.shards)
  await readImported(pools.project)
  await pools.close()
  for (const name of ['proxy-7', 'proxy-8', 'proxy-9']) await create(name)
  await service.fetch('admin', '/admin/tokens/proxy-9', { method: 'DELETE' })
  await service.stop()
  // A running service would find that nothing is crossed.
  await writeRuleEvents(service)
  await settle(service.database, service.shards)
  await owner`create table kept_tokens as select * from tokens`
  await owner`create table kept_crossings as select * from crossings`
  await owner`create table kept_events as select * from rule_events`
})
afterEach(async () => {
  await owner.unsafe(`
    delete from tokens; insert into tokens select * from kept_tokens;
    delete from crossings; insert into crossings select * from kept_crossings;
    delete from rule_events; insert into rule_events select * from kept_events`)
})

const find = async () => {
  const { first } = await verify(service.database)
  return first.map(({ check, at, expected, found }) => `${check} ${at}: ${expected} | ${found}`)
}

/** Makes the hash of each token that of its row, as a forger does who knows the scheme. */
const forge = () => owner`
  update tokens t
  set row_sha256 = token_row_hash(t.name, t.role, t.token_sha256, t.created_at, t.revoked_at)`

test('nothing is reported of what the service has written', async () => {
  expect(await find()).toEqual([])
})

test('a token that is valid again, or that can do more, is reported', async () => {
  await owner`update tokens set revoked_at = null where name = 'proxy-9'`
  await owner`update tokens set role = 'admin' where name = 'proxy-7'`
  await forge()
  expect(await find()).toEqual([
    'tokens tokens proxy-7: dp | admin',
    'tokens tokens proxy-9: dp, revoked | dp',
  ])
})

test('a token that was deleted, or revoked without an event, is reported', async () => {
  await owner`delete from tokens where name = 'proxy-7'`
  await owner`update tokens set revoked_at = now() + interval '2 days' where name = 'proxy-8'`
  await forge()
  expect(await find()).toEqual([
    'tokens tokens proxy-7: dp | no row',
    'tokens tokens proxy-8: dp | dp, revoked',
  ])
})

test('a token that no event has created is reported, unless it may be older', async () => {
  for (const [name, days] of [
    ['older', -1],
    ['upgraded', 0],
    ['new', 2],
  ] as const) {
    await owner`
      insert into tokens (name, role, token_sha256, created_at, row_sha256)
      values (${name}, 'admin', sha256(${name}), now() + ${`${days} days`}::interval, sha256(''))`
  }
  await owner`
    insert into tokens (name, role, token_sha256, created_at, revoked_at, row_sha256)
    values ('ended', 'dp', sha256('e'), now(), now() + interval '2 days', sha256(''))`
  await forge()
  expect(await find()).toEqual([
    'tokens tokens ended: dp | dp, revoked',
    'tokens tokens new: no row | admin',
  ])
})

test('events of tokens that came with an import need no token here', async () => {
  const [before] = await owner<{ read_through: string }[]>`select read_through from rule_folds`
  await owner`
    update rule_folds
    set read_through = (select max(e.position) from events e where e.shard = 0)`
  await owner`delete from tokens where name = 'proxy-7'`
  expect(await find()).toEqual([])
  // An imported log that was not read yet.
  await owner`update rule_folds set read_through = -1`
  await owner`delete from crossings`
  await owner`delete from rule_events`
  expect(await find()).toEqual([])
  await owner`update rule_folds set read_through = ${before!.read_through}`
})

test('a crossing that is missing, or that there should not be, is reported', async () => {
  const [crossed] = await owner<{ position: string }[]>`select position from crossings`
  await owner`delete from crossings`
  await owner`insert into crossings values ('quota', 'key', 'limited\\"', 5)`
  await owner`delete from rule_events where position = ${crossed!.position}`
  expect(await find()).toEqual([
    `rules rule_events ${crossed!.position}: {} | no row`,
    'rules crossings quota/key/limited\\": no row | {"position":5}',
    `rules crossings quota/key/é😀: {"position":${crossed!.position}} | no row`,
  ])
})
