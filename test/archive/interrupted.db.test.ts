import { beforeAll, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type postgres from 'postgres'
import { useCommands } from '../cli/one-process.ts'
import {
  countEvents,
  dumpTable,
  outcomeOf,
  problemsOf,
  runCommand,
  startCommand,
  useFolder,
  writeTestArchive,
} from '../support/archive.ts'
import { parameter, startBarrier } from '../support/barrier.ts'
import { canMount, mountDisk, unmountDisk } from '../support/disk.ts'
import { insertFlushes, untilWaiting } from '../support/events.ts'
import { isFull } from '../support/full.ts'
import {
  createDatabase,
  createDatabaseOf,
  TEST_SHARDS,
  type TestDatabase,
  useDatabase,
} from '../support/server.ts'
import { until } from '../support/until.ts'

// Commands that end half-way. A barrier stops each at one message to the server.

/** More than the 2,000 events that an export reads at once (src/archive/pages.ts). */
const EVENTS = 2_100

/** The query of an export for its second page, sent while the first one is being written. */
const SECOND_PAGE = parameter(1_999)

/** The statement of an import that has inserted every event and not committed. */
const LAST_UPDATE = 'set catalog_position'

const commands = useCommands()
const folder = useFolder()
const source = useDatabase()
let archive: string

beforeAll(async () => {
  await insertFlushes(source.owner, EVENTS)
  archive = join(folder.path, 'archive')
  await writeTestArchive(source, archive)
})

/** Returns the message of a command without the names of folders and numbers of shards. */
const sentenceOf = ({ stderr }: { stderr: string }) =>
  stderr.replaceAll(folder.path, '<folder>').replace(/\d+ shard\(s\)/g, 'N shard(s)')

const leftovers = (target: string) =>
  readdirSync(folder.path).filter((name) => name.startsWith(`${target}.partial-`))

/** Starts an export, and returns while it is writing the first part. */
async function startExport(target: string) {
  const barrier = await startBarrier(source.address, SECOND_PAGE)
  const command = startCommand(['export', join(folder.path, target)], barrier.address)
  await barrier.reached
  await until(() =>
    leftovers(target).some((name) => existsSync(join(folder.path, name, 'shard-0'))),
  )
  return { command, barrier }
}

/** Starts an import, and returns when it has inserted all events and not committed. */
async function startImport(args: string[], target: TestDatabase, env?: Record<string, string>) {
  const barrier = await startBarrier(target.address, LAST_UPDATE)
  const command = startCommand(['import', ...args], barrier.address, env)
  await barrier.reached
  expect(await writers(target.owner)).toBeGreaterThan(0)
  expect(await countEvents(target.owner)).toBe(0)
  return { command, barrier }
}

/** Returns the number of connections that have written events and not committed. */
async function writers(owner: postgres.Sql): Promise<number> {
  const [row] = await owner`
    select count(distinct l.pid)::integer as count
    from pg_locks l
    where l.database = (select oid from pg_database where datname = current_database())
      and l.relation = 'events'::regclass
      and l.mode = 'RowExclusiveLock'`
  return row!.count
}

test('a killed export leaves no complete archive, and the next one removes the rest', async () => {
  const target = join(folder.path, 'killed')
  const { command, barrier } = await startExport('killed')
  command.kill('SIGKILL')
  await command.exited
  await barrier.close()
  expect(existsSync(target)).toBe(false)
  expect(leftovers('killed').length).toBe(1)
  const verified = await commands.runOn(source, [
    'verify',
    join(folder.path, leftovers('killed')[0]!),
  ])
  expect(verified.code).toBe(2)

  expect(await runCommand(['export', target], source.address)).toMatchObject({ code: 0 })
  expect(leftovers('killed')).toEqual([])
  expect(await problemsOf(target)).toEqual([])
})

// With isFull every signal ends every command; otherwise each signal ends one of them.

test.each(isFull ? (['SIGINT', 'SIGTERM'] as const) : (['SIGINT'] as const))(
  'an export that receives %s cleans up and exits with 130',
  async (signal) => {
    const { command, barrier } = await startExport(`stopped-${signal}`)
    command.kill(signal)
    barrier.release()
    expect(await outcomeOf(command)).toEqual({ code: 130, stdout: '', stderr: 'Interrupted.\n' })
    await barrier.close()
    expect(readdirSync(folder.path).filter((name) => name.startsWith('stopped'))).toEqual([])
  },
)

test('an export to an existing archive is refused and changes nothing', async () => {
  const outcome = await commands.runOn(source, ['export', archive])
  expect(outcome.code).toBe(1)
  expect(sentenceOf(outcome)).toMatchSnapshot()
  expect(await problemsOf(archive)).toEqual([])
})

test('an export that loses its database reports that and leaves nothing', async () => {
  const { command, barrier } = await startExport('lost')
  await source.owner`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`
  const outcome = await outcomeOf(command)
  await barrier.close()
  expect(outcome.code).toBe(1)
  // The text in brackets comes from the server or the driver.
  expect(sentenceOf(outcome).replace(/\(.*\)/, '(…)')).toMatchSnapshot()
  expect(readdirSync(folder.path).filter((name) => name.startsWith('lost'))).toEqual([])
})

test('a killed or interrupted import leaves an empty log, and the next one succeeds', async () => {
  const target = await createDatabase()
  const signals = isFull
    ? (['SIGKILL', 'SIGINT', 'SIGTERM'] as const)
    : (['SIGKILL', 'SIGTERM'] as const)
  for (const signal of signals) {
    const { command, barrier } = await startImport([archive], target)
    command.kill(signal)
    // Otherwise the release may come first. A killed process must not see it.
    if (signal === 'SIGKILL') await command.exited
    barrier.release()
    const outcome = await outcomeOf(command)
    if (signal !== 'SIGKILL') expect(outcome).toMatchObject({ code: 130, stdout: '' })
    await barrier.close()
    await until(async () => (await writers(target.owner)) === 0)
    expect(await countEvents(target.owner)).toBe(0)
  }
  const imported = await runCommand(['import', archive], target.address)
  expect(imported).toMatchObject({ code: 0, stdout: `Imported ${EVENTS} events from ${archive}\n` })
  expect(await dumpTable(target.owner, 'events')).toEqual(await dumpTable(source.owner, 'events'))

  const again = await commands.runOn(target, ['import', archive])
  expect(again.code).toBe(1)
  if (TEST_SHARDS === 1) expect(sentenceOf(again)).toMatchSnapshot()
  expect(again.stderr).toContain(`0/${EVENTS - 1}`)
  expect(await countEvents(target.owner)).toBe(EVENTS)
  await target.drop()
})

test('a killed or interrupted import with --reshard leaves an empty log too', async () => {
  const shards = TEST_SHARDS + 1
  const target = await createDatabaseOf(shards)
  const env = { TALLYBOOK_SHARDS: String(shards) }
  const args = [archive, '--reshard']
  for (const signal of isFull ? (['SIGKILL', 'SIGINT'] as const) : (['SIGINT'] as const)) {
    const { command, barrier } = await startImport(args, target, env)
    command.kill(signal)
    if (signal === 'SIGKILL') await command.exited
    barrier.release()
    expect(await command.exited).toBe(signal === 'SIGKILL' ? 137 : 130)
    await barrier.close()
    await until(async () => (await writers(target.owner)) === 0)
    expect(await countEvents(target.owner)).toBe(0)
  }
  expect(await runCommand(['import', ...args], target.address, env)).toMatchObject({ code: 0 })
  expect(await countEvents(target.owner)).toBe(EVENTS + shards)
  await target.drop()
})

test('one of two imports at the same time fills the log, and the other is refused', async () => {
  const target = await createDatabase()
  const { command, barrier } = await startImport([archive], target)
  const second = startCommand(['import', archive], target.address)
  await untilWaiting(target.owner, 1)
  barrier.release()
  expect(await outcomeOf(command)).toMatchObject({ code: 0, stderr: '' })
  await barrier.close()
  const refused = await outcomeOf(second)
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  // It waits for 5 s, and the first may not commit in that time on a slow machine.
  expect(refused.stderr).toMatch(/not empty|busy/)
  expect(await countEvents(target.owner)).toBe(EVENTS)
  await target.drop()
})

test('an archive with another number of shards is refused', async () => {
  const target = await createDatabaseOf(TEST_SHARDS + 1)
  const outcome = await commands.runOn(target, ['import', archive])
  expect(outcome.code).toBe(1)
  expect(outcome.stderr).toContain(`archive has ${TEST_SHARDS} shard(s)`)
  expect(outcome.stderr).toContain(`created with ${TEST_SHARDS + 1}`)
  expect(await countEvents(target.owner)).toBe(0)
  await target.drop()
})

test('a database without a schema is refused and left unchanged', async () => {
  const target = await createDatabase({ empty: true })
  for (const args of [
    ['import', archive],
    ['export', join(folder.path, 'none')],
  ]) {
    const outcome = await commands.runOn(target, args)
    expect(outcome.code).toBe(1)
    expect(sentenceOf(outcome)).toMatchSnapshot()
  }
  const schemas = await target.owner`select from pg_namespace where nspname = 'tallybook'`
  expect(schemas.length).toBe(0)
  await target.drop()
})

test.skipIf(!canMount())('an export to a full disk fails with a message (needs root)', async () => {
  const disk = join(folder.path, 'disk')
  mkdirSync(disk)
  mountDisk(disk, '8k')
  try {
    for (const args of [[join(disk, 'full')], ['--parquet', join(disk, 'full')]]) {
      const outcome = await commands.runOn(source, ['export', ...args])
      expect(outcome).toMatchObject({ code: 1, stdout: '' })
      expect(sentenceOf(outcome)).toMatchSnapshot()
      expect(readdirSync(disk)).toEqual([])
    }
  } finally {
    unmountDisk(disk)
  }
})
