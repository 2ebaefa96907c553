import { expect, test } from 'bun:test'
import {
  DELEGATED_FUNCTIONS,
  DISTRIBUTED_TABLES,
  LOCAL_TABLES,
  REFERENCE_TABLES,
} from '../../../src/platform/postgres/citus/tables.ts'
import { SCHEMA } from '../../../src/platform/postgres/pool.ts'
import { useDatabase } from '../../support/server.ts'

// src/platform/postgres/citus/tables.ts must list the whole schema, whatever a migration adds.

const database = useDatabase()

test('every table is distributed by shard, on every node, or on the coordinator', async () => {
  const tables = await database.owner<{ name: string; has_shard: boolean }[]>`
    select c.relname as name, exists (
        select from pg_attribute a where a.attrelid = c.oid and a.attname = 'shard'
      ) as has_shard
    from pg_class c
    where c.relnamespace = ${SCHEMA}::regnamespace and c.relkind in ('r', 'p')
      and not c.relispartition`
  const names = tables.map(({ name }) => name)
  const listed = [...DISTRIBUTED_TABLES, ...REFERENCE_TABLES, ...LOCAL_TABLES]
  expect(names.sort()).toEqual([...listed].sort())
  const distributed: string[] = tables.filter(({ has_shard }) => has_shard).map(({ name }) => name)
  expect(distributed).toEqual(expect.arrayContaining([...DISTRIBUTED_TABLES]))
})

test('every function that reads or writes tables of one shard runs on its worker', async () => {
  const functions = await database.owner<{ name: string }[]>`
    select p.proname as name
    from pg_proc p
      join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
    where p.pronamespace = ${SCHEMA}::regnamespace and p.proargnames[1] = 'p_shard'
      -- Only called from within another such function, or without Citus.
      and p.proname not in (
        'integrate_roots', 'create_segment', 'pack_keys', 'mark_leaving', 'leave_segment'
      )`
  expect(functions.map(({ name }) => name).sort()).toEqual([...DELEGATED_FUNCTIONS].sort())
})
