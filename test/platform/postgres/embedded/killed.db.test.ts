import { expect, test } from 'bun:test'
import { chownSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../../support/until.ts'
import { isRunning, query, serverPid, start, useDataDirs, words } from './place.ts'
import { runBystander, runService, startService } from './service.ts'

const dataDirs = useDataDirs()

test('after kill -9 of a service, a start stops its orphaned server and has its data', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const killed = await startService(dataDir)
  const orphan = serverPid(dataDir)
  await killed.kill()
  expect(isRunning(orphan)).toBe(true)
  const notes: string[] = []
  const server = await start(dataDir, notes)
  expect(notes.join('\n')).toContain(`stopping PostgreSQL (pid ${orphan})`)
  expect(isRunning(orphan)).toBe(false)
  expect(await words(server)).toEqual(['first'])
  await server.stop()
})

test('after kill -9 of service and server, the next start recovers', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const killed = await startService(dataDir)
  const orphan = serverPid(dataDir)
  await killed.kill()
  process.kill(orphan, 'SIGKILL')
  const server = await start(dataDir)
  expect(await words(server)).toEqual(['first'])
  await server.stop()
})

test('--no-orphans stops the server of a killed service, even as another user', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const killed = await startService(dataDir, { bunArgs: ['--no-orphans'] })
  const pid = serverPid(dataDir)
  await killed.kill()
  await until(() => !isRunning(pid))
  const server = await start(dataDir)
  expect(await words(server)).toEqual(['first'])
  await server.stop()
})

test('a stale pid file and socket lock with a reused pid do not prevent a start', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  const bystander = runBystander(statSync(join(dataDir, 'postgres')))
  const first = await start(dataDir)
  const stale = ['postmaster.pid', '.s.PGSQL.5432.lock'].map((name) => {
    const path = join(dataDir, 'postgres', name)
    const { uid, gid } = statSync(path)
    const text = readFileSync(path, 'utf8').replace(/^\d+/, String(bystander.pid))
    return { path, text, uid, gid }
  })
  await first.stop()
  for (const { path, text, uid, gid } of stale) {
    writeFileSync(path, text, { mode: 0o600 })
    chownSync(path, uid, gid)
  }
  const second = await start(dataDir)
  expect(await words(second)).toEqual(['first'])
  await second.stop()
  expect(isRunning(bystander.pid)).toBe(true)
})

test('an initdb that was killed half-way is removed and started again', async () => {
  const dataDir = dataDirs.emptyDataDir()
  const partialDirs = () =>
    existsSync(dataDir) ? readdirSync(dataDir).filter((name) => name.includes('.new-')) : []
  const killed = runService(dataDir, { bunArgs: ['--no-orphans'] })
  await until(() =>
    partialDirs().some((dir) => existsSync(join(dataDir, dir, 'cluster/PG_VERSION'))),
  )
  killed.kill('SIGKILL')
  await killed.exited
  // The processes of initdb that are left end by themselves, and may write until then.
  await until(() => !Bun.spawnSync(['ps', '-eo', 'args']).stdout.toString().includes(dataDir))
  expect(partialDirs()).toHaveLength(1)
  expect(existsSync(join(dataDir, 'postgres'))).toBe(false)
  const server = await start(dataDir)
  expect(partialDirs()).toEqual([])
  expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
  await server.stop()
})

test('exactly one of five simultaneous starts succeeds, also after a kill', async () => {
  const dataDir = dataDirs.copyOfTemplate()
  for (const round of ['clean', 'killed']) {
    const starters = await Promise.all(Array.from({ length: 5 }, () => startService(dataDir)))
    const winners = starters.filter((starter) => starter.refusal === null)
    expect([round, winners.length]).toEqual([round, 1])
    const [winner] = winners
    for (const { refusal } of starters) {
      if (refusal !== null) expect(refusal).toContain(`(pid ${winner!.child.pid}, since`)
    }
    if (round === 'clean') await winner!.kill()
    else expect(await winner!.stop()).toBe(0)
  }
})
