import { expect, test } from 'bun:test'
import { existsSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRunning, query, refusalOf, serverPid, start, useDataDirs, words } from './place.ts'
import { startService } from './service.ts'

const dataDirs = useDataDirs()

test('the first start creates a durable cluster with UTF-8, the C locale and UTC', async () => {
  const dataDir = dataDirs.emptyDataDir()
  const notes: string[] = []
  const server = await start(dataDir, notes)
  expect(notes).toEqual([expect.stringContaining(`${dataDir}/postgres`)])
  const shown = await query(
    server,
    `select current_database() as database, current_user as user,
       current_setting('server_encoding') as encoding, datcollate as collation,
       current_setting('timezone') as timezone, current_setting('listen_addresses') as tcp,
       current_setting('fsync') || current_setting('full_page_writes')
         || current_setting('synchronous_commit') as durability
     from pg_database where datname = current_database()`,
  )
  expect(shown).toEqual([
    {
      database: 'tallybook',
      user: 'tallybook',
      encoding: 'UTF8',
      collation: 'C',
      timezone: 'UTC',
      tcp: '',
      durability: 'ononon',
    },
  ])
  await server.stop()
})

test('a restart keeps the data, and stop leaves nothing running, even if repeated', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const first = await start(dataDir)
  await query(first, "insert into kept values ('second')")
  const pid = serverPid(dataDir)
  await Promise.all([first.stop(), first.stop()])
  await first.stop()
  expect(isRunning(pid)).toBe(false)
  const second = await start(dataDir)
  expect(await words(second)).toEqual(['first', 'second'])
  await second.stop()
})

test('only the owner and root can enter the socket’s directory', async () => {
  const server = await start(dataDirs.copyOfTemplate())
  expect(statSync(server.address.host).mode & 0o077).toBe(0)
  await server.stop()
})

test('a Unix socket whose path would be too long lies elsewhere, and stop removes it', async () => {
  const dataDir = dataDirs.copyOfTemplate('deep'.repeat(30))
  const server = await start(dataDir)
  expect(Buffer.byteLength(dataDir)).toBeGreaterThan(107)
  expect(server.address.host.startsWith(dataDir)).toBe(false)
  expect(statSync(server.address.host).mode & 0o077).toBe(0)
  expect(await words(server)).toEqual(['first'])
  await server.stop()
  expect(existsSync(server.address.host)).toBe(false)
  // A link that another user put there is refused.
  symlinkSync(dataDirs.root, server.address.host)
  expect(await refusalOf(start(dataDir))).toContain('is not a private directory')
  rmSync(server.address.host)
})

test('Ctrl-C for the whole process group leaves the server running until stop', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const service = await startService(dataDir, { bunArgs: ['--no-orphans'], detached: true })
  const pid = serverPid(dataDir)
  process.kill(-service.child.pid, 'SIGINT')
  expect(await service.nextLine()).toBe('SIGINT')
  expect(await words(service.server)).toEqual(['first'])
  expect(await service.stop()).toBe(0)
  expect(isRunning(pid)).toBe(false)
})

test('exited resolves when the server dies, and the directory can be used again', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const server = await start(dataDir)
  process.kill(serverPid(dataDir), 'SIGKILL')
  expect(await server.exited).toBe(null)
  await server.stop()
  const next = await start(dataDir)
  expect(await words(next)).toEqual(['first'])
  await next.stop()
})

test('a large server log is truncated to its end', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  writeFileSync(join(dataDir, 'postgres.log'), `${'x'.repeat(99)}\n`.repeat(90_000))
  const server = await start(dataDir)
  expect(statSync(join(dataDir, 'postgres.log')).size).toBeLessThan(2 * 1024 * 1024)
  await server.stop()
})
