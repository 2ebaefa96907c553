import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inOldSnapshot } from '../../src/move-in/old-database.ts'
import { hasPeer } from '../support/extended.ts'
import { startMariaDb } from '../support/mariadb.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { urlOf } from './old-databases.ts'

// Everything of an older database is read in one snapshot, and nothing can be written to it.

type Old = { location: string; run(statement: string): Promise<unknown> }
const file = join(tmpdir(), `tallybook-snapshot-${process.pid}.db`)
const mariaDb = hasPeer('mariadbd') ? startMariaDb() : null
let sqlite: Database
let postgres: TestDatabase
const databases: Old[] = []
beforeAll(async () => {
  postgres = await createDatabase({ empty: true })
  const run = (statement: string) => postgres.owner.unsafe(`set search_path = public;${statement}`)
  databases.push({ location: urlOf(postgres), run })
  sqlite = new Database(file, { create: true })
  // As New API has it: others may write while someone reads.
  sqlite.run('pragma journal_mode = wal')
  databases.push({ location: file, run: async (statement) => sqlite.run(statement) })
  const other = await mariaDb
  if (other !== null) {
    databases.push({ location: other.url, run: (statement) => other.run([statement]) })
  }
  for (const { run } of databases) {
    await run('create table counts (id integer primary key, used bigint)')
    await run('insert into counts values (1, 9007199254740993)')
  }
}, 60_000)
afterAll(async () => {
  sqlite.close()
  for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true })
  await (await mariaDb)?.stop()
  await postgres.drop()
})

test('what others commit meanwhile is not in the snapshot', async () => {
  for (const { location, run } of databases) {
    await inOldSnapshot(location, async ({ select, dialect, columnsOf }) => {
      const read = () =>
        select(`select cast(used as ${dialect === 'MySQL' ? 'char' : 'text'}) as used from counts`)
      expect([dialect, await read()]).toEqual([dialect, [{ used: '9007199254740993' }]])
      await run('update counts set used = used + 1')
      await run('insert into counts values (2, 0)')
      expect([dialect, await read()]).toEqual([dialect, [{ used: '9007199254740993' }]])
      expect([...(await columnsOf('counts')).keys()].sort()).toEqual(['id', 'used'])
      expect((await columnsOf('nothing')).size).toBe(0)
    })
  }
})

test('a read waits while the gateway commits to a file of SQLite', async () => {
  const path = `${file}-locked`
  // In another process, because this one stands still while it waits.
  const script = `
    const database = new (require('bun:sqlite').Database)(${JSON.stringify(path)}, { create: true })
    database.run('create table counts as select 1 as used')
    database.run('begin exclusive')
    console.log('locked')
    setTimeout(() => database.run('commit'), 200)`
  const writer = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe' })
  await writer.stdout.getReader().read()
  const rows = await inOldSnapshot(path, ({ select }) => select('select used from counts'))
  expect(rows).toHaveLength(1)
  expect(await writer.exited).toBe(0)
  rmSync(path)
})

test('nothing can be written', async () => {
  for (const { location } of databases) {
    for (const statement of ['delete from counts', 'insert into counts values (3, 0)']) {
      await expect(inOldSnapshot(location, ({ select }) => select(statement))).rejects.toThrow(
        'The old database could not be read',
      )
    }
    const rows = await inOldSnapshot(location, ({ select }) => select('select 1 from counts'))
    expect(rows).toHaveLength(2)
  }
})
