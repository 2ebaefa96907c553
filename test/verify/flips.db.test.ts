import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type postgres from 'postgres'
import { SCHEMA } from '../../src/db/pool.ts'
import { finishVerification, insertVerification } from '../../src/verifications/stored.ts'
import { untilSigned } from '../client/audited.ts'
import { insertEmptyFlushes } from '../support/events.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { FLIPS, renderFlips } from './flips.ts'
import { settle, verify, writeHistory } from './history.ts'
import type { Flip } from './ways.ts'

// Whoever owns the database can take the triggers away and change anything. Each such change of one
// value is found, and named by its place.

let service: TestService
let owner: postgres.Sql

beforeAll(async () => {
  service = await startTestService()
  owner = service.database.owner
  await writeHistory(service)
  // So that heads are published.
  await untilSigned(service)
  await service.stop()
  // So that a tile is full, and has a root.
  await insertEmptyFlushes(owner, 0, 300)
  await settle(service.database, service.shards)
  const started = await insertVerification(owner, null)
  await finishVerification(owner, started!.id, await verify(service.database))
  await owner`
    insert into rebuilds
    values ('usage', 1, 'live', now(), now(), now(), 1, 1, 0, '[]', 'none')`
  await owner`
    insert into sessions
    values (sha256('id'), 'admin', sha256('proof'), now())`
  await owner`insert into instances values ('id', '0.1.0', 12, now(), now())`
  for (const table of ['events', 'tiles']) {
    await owner.unsafe(`alter table ${table} disable trigger user`)
  }
})
afterAll(() => service.database.drop())

test('nothing is found before anything is changed', async () => {
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
})

test('every column of every table is in the list', async () => {
  const columns = await owner<{ name: string }[]>`
    select c.relname || '.' || a.attname as name
    from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = ${SCHEMA}::regnamespace
      and c.relkind in ('r', 'p') and not c.relispartition`
  const listed = new Set(FLIPS.map(({ table, column }) => `${table}.${column}`))
  expect([...listed].sort()).toEqual(columns.map(({ name }) => name).sort())
})

test('docs/verify.md has the list', () => {
  const docs = readFileSync(join(import.meta.dir, '../../docs/verify.md'), 'utf8')
  expect(docs).toContain(renderFlips())
})

describe('found, and named by its place:', () => {
  for (const flip of FLIPS) {
    test(`${flip.table}.${flip.column}, ${flip.change}`, async () => {
      await owner.unsafe(`create table saved as select * from ${flip.table}`)
      try {
        const places = await apply(flip)
        if (flip.foundBy === 'refused') {
          expect(places).toBeNull()
          return
        }
        const { first } = await verify(service.database)
        const found = first.map(({ check, at }) => `${at} (${check})`)
        if (flip.foundBy === null) expect(found).toEqual([])
        else expect(found).toContainAnyValues(places!.map((at) => `${at} (${flip.foundBy})`))
      } finally {
        await restore(flip.table)
      }
    })
  }
})

/** Changes one row; gives what it is called before and after. Null where the database refuses. */
async function apply({ table, column, value, where, at }: Flip): Promise<string[] | null> {
  const [chosen] = await owner.unsafe<{ row: string; oid: string; at: string }[]>(
    `select ctid::text as row, tableoid::text as oid, ${at} as at
     from ${table} where ${where} order by 3 limit 1`,
  )
  if (!chosen) throw new Error(`no row of ${table} where ${where}`)
  const changed = await owner
    .unsafe<{ at: string }[]>(
      `update ${table} set ${column} = ${value}
       where ctid = '${chosen.row}' and tableoid = ${chosen.oid}
       returning ${at} as at`,
    )
    .catch((error: { code?: string }) => {
      if (error.code === '23514') return null
      throw error
    })
  return changed === null ? null : [chosen.at, changed[0]!.at]
}

async function restore(table: string): Promise<void> {
  await owner.unsafe(`
    begin;
    delete from ${table};
    insert into ${table} overriding system value select * from saved;
    drop table saved;
    commit`)
}
