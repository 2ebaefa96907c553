import { expect, test } from 'bun:test'
import { chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRoot, NOBODY, refusalOf, start, useDataDirs } from './place.ts'
import { startService } from './service.ts'

const dataDirs = useDataDirs()

test('a second start on a directory is refused with its holder and start time', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const holder = await startService(dataDir)
  const refusal = await refusalOf(start(dataDir))
  expect(refusal).toContain(`pid ${holder.child.pid}, since 20`)
  expect(refusal).toContain(dataDir)
  expect(await holder.stop()).toBe(0)
})

test('a start in the same process is refused as well', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const server = await start(dataDir)
  expect(await refusalOf(start(dataDir))).toContain(`pid ${process.pid}`)
  await server.stop()
})

test('a server that fails to start is reported with its last log lines, and unlocked', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const path = join(dataDir, 'postgres/postgresql.auto.conf')
  const before = readFileSync(path, 'utf8')
  writeFileSync(path, 'no_such_setting = 1\n')
  expect(await refusalOf(start(dataDir))).toContain('unrecognized configuration parameter')
  writeFileSync(path, before)
  await (await start(dataDir)).stop()
})

test('a cluster of another major version is refused and not changed', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  writeFileSync(join(dataDir, 'postgres/PG_VERSION'), '17\n')
  const before = readdirSync(join(dataDir, 'postgres'))
  expect(await refusalOf(start(dataDir))).toContain('was made by PostgreSQL 17')
  expect(readdirSync(join(dataDir, 'postgres'))).toEqual(before)
})

test('a directory that is not a cluster is refused and not changed', async () => {
  const dataDir = dataDirs.emptyDataDir()
  mkdirSync(join(dataDir, 'postgres'), { recursive: true })
  writeFileSync(join(dataDir, 'postgres/letter'), 'dear')
  if (isRoot) chownSync(join(dataDir, 'postgres'), NOBODY.uid, NOBODY.gid)
  expect(await refusalOf(start(dataDir))).toContain('is not empty and not a PostgreSQL cluster')
  expect(readdirSync(join(dataDir, 'postgres'))).toEqual(['letter'])
})

test('without the platform’s package the error names the platform and DATABASE_URL', async () => {
  const { project, source } = dataDirs.copyOfProject({ withPackage: false })
  const { refusal } = await startService(join(project, 'd'), { source })
  expect(refusal).toContain(`No PostgreSQL for ${process.platform}-${process.arch} is installed`)
  expect(refusal).toContain('DATABASE_URL')
})
