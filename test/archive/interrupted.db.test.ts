import { afterAll, beforeAll, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type postgres from 'postgres'
import { migrate } from '../../src/db/migrate.ts'
import {
  countEvents,
  dumpTable,
  makeFolder,
  outcomeOf,
  problemsOf,
  runCommand,
  startCommand,
} from '../support/archive.ts'
import { insertFlushes } from '../support/events.ts'
import {
  createDatabase,
  createDatabaseOf,
  TEST_SHARDS,
  type TestDatabase,
} from '../support/server.ts'

/** So many that a command is at it for a second or more after it has begun. */
const EVENTS = 60_000

let folder: Awaited<ReturnType<typeof makeFolder>>
let source: TestDatabase
let archive: string

beforeAll(async () => {
  folder = await makeFolder()
  source = await createDatabase()
  await insertFlushes(source.owner, EVENTS)
  archive = join(folder.path, 'archive')
  expect(await runCommand(['export', archive], source.address)).toMatchObject({ code: 0 })
})
afterAll(async () => {
  await source.drop()
  await folder.remove()
})

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await Bun.sleep(2)
}

const leftovers = (target: string) =>
  readdirSync(folder.path).filter((name) => name.startsWith(`${target}.partial-`))

/** Waits until a part is being written. */
const untilWriting = (target: string) =>
  until(() => leftovers(target).some((name) => existsSync(join(folder.path, name, 'shard-0'))))

/** How many connections have written to events and not committed. */
async function writers(owner: postgres.Sql): Promise<number> {
  const [row] = await owner`
    select count(distinct l.pid)::integer as count
    from pg_locks l
    where l.database = (select oid from pg_database where datname = current_database())
      and l.relation = 'events'::regclass
      and l.mode = 'RowExclusiveLock'`
  return row!.count
}

test('an export that is killed leaves nothing that looks whole, and the next one clears it', async () => {
  const target = join(folder.path, 'killed')
  const command = startCommand(['export', target], source.address)
  await untilWriting('killed')
  command.kill('SIGKILL')
  await command.exited
  expect(existsSync(target)).toBe(false)
  expect(leftovers('killed').length).toBe(1)
  const verified = await runCommand(
    ['verify', join(folder.path, leftovers('killed')[0]!)],
    source.address,
  )
  expect(verified.code).toBe(2)

  expect(await runCommand(['export', target], source.address)).toMatchObject({ code: 0 })
  expect(leftovers('killed')).toEqual([])
  expect(await problemsOf(target)).toEqual([])
})

test('an export that is interrupted cleans up and ends with 130', async () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const target = join(folder.path, `stopped-${signal}`)
    const command = startCommand(['export', target], source.address)
    await untilWriting(`stopped-${signal}`)
    command.kill(signal)
    expect(await outcomeOf(command)).toEqual({ code: 130, stdout: '', stderr: 'Interrupted.\n' })
    expect(readdirSync(folder.path).filter((name) => name.startsWith('stopped'))).toEqual([])
  }
})

test('an export to what is there already is refused and changes nothing', async () => {
  const outcome = await runCommand(['export', archive], source.address)
  expect(outcome.code).toBe(1)
  expect(outcome.stderr).toContain('is there already')
  expect(await problemsOf(archive)).toEqual([])
})

test('an export whose database goes away says so and leaves nothing', async () => {
  const target = join(folder.path, 'lost')
  const command = startCommand(['export', target], source.address)
  await untilWriting('lost')
  const ended = outcomeOf(command)
  // Again and again: a connection that is lost between two statements is made anew.
  await until(async () => {
    await source.owner`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`
    return command.exitCode !== null
  })
  const outcome = await ended
  expect(outcome.code).toBe(1)
  expect(outcome.stderr).toContain(`Nothing was exported to ${target}: the database went away`)
  expect(readdirSync(folder.path).filter((name) => name.startsWith('lost'))).toEqual([])
})

test('an import that is killed or interrupted leaves an empty log, and the next one works', async () => {
  const target = await createDatabase()
  for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM'] as const) {
    const command = startCommand(['import', archive], target.address)
    await until(async () => (await writers(target.owner)) > 0)
    command.kill(signal)
    const outcome = await outcomeOf(command)
    if (signal !== 'SIGKILL') expect(outcome).toMatchObject({ code: 130, stdout: '' })
    await until(async () => (await writers(target.owner)) === 0)
    expect(await countEvents(target.owner)).toBe(0)
  }
  const imported = await runCommand(['import', archive], target.address)
  expect(imported).toMatchObject({ code: 0, stdout: `Imported ${EVENTS} events from ${archive}\n` })
  expect(await dumpTable(target.owner, 'events')).toEqual(await dumpTable(source.owner, 'events'))

  const again = await runCommand(['import', archive], target.address)
  expect(again.code).toBe(1)
  expect(again.stderr).toContain(`The log is not empty: it has ${EVENTS} events, up to 0/59999`)
  expect(await countEvents(target.owner)).toBe(EVENTS)
  await target.drop()
})

test('so does one that deals the events to other shards', async () => {
  const shards = TEST_SHARDS + 1
  const target = await createDatabaseOf(shards)
  const env = { TALLYBOOK_SHARDS: String(shards) }
  const args = ['import', archive, '--reshard']
  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    const command = startCommand(args, target.address, env)
    await until(async () => (await writers(target.owner)) > 0)
    command.kill(signal)
    await command.exited
    await until(async () => (await writers(target.owner)) === 0)
    expect(await countEvents(target.owner)).toBe(0)
  }
  expect(await runCommand(args, target.address, env)).toMatchObject({ code: 0 })
  expect(await countEvents(target.owner)).toBe(EVENTS + shards)
  await target.drop()
})

test('two imports at once fill the log once', async () => {
  const target = await createDatabase()
  const commands = [0, 1].map(() => startCommand(['import', archive], target.address))
  const outcomes = await Promise.all(commands.map(outcomeOf))
  expect(outcomes.map(({ code }) => code).sort()).toEqual([0, 1])
  expect(outcomes.map(({ stderr }) => stderr).join('')).toMatch(/not empty|busy/)
  expect(await countEvents(target.owner)).toBe(EVENTS)
  await target.drop()
})

test('an archive of another number of shards is refused', async () => {
  const target = await createDatabase({ empty: true })
  await migrate(target.owner, TEST_SHARDS + 1)
  const outcome = await runCommand(['import', archive], target.address)
  expect(outcome.code).toBe(1)
  expect(outcome.stderr).toContain(
    `is of ${TEST_SHARDS} shard(s), and the database was made with ${TEST_SHARDS + 1}`,
  )
  expect(await countEvents(target.owner)).toBe(0)
  await target.drop()
})

test('a database of a service that is just starting is left alone', async () => {
  const target = await createDatabase({ empty: true })
  for (const args of [
    ['import', archive],
    ['export', join(folder.path, 'none')],
  ]) {
    const outcome = await runCommand(args, target.address)
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain("doesn't have this version's schema")
  }
  const schemas = await target.owner`select from pg_namespace where nspname = 'tallybook'`
  expect(schemas.length).toBe(0)
  await target.drop()
})

// Only root can mount a small file system of its own.
test.skipIf(process.getuid?.() !== 0)(
  'a full disk ends an export with a sentence (needs root)',
  async () => {
    const disk = join(folder.path, 'disk')
    mkdirSync(disk)
    run(['mount', '-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', disk])
    try {
      for (const args of [[join(disk, 'full')], ['--parquet', join(disk, 'full')]]) {
        const outcome = await runCommand(['export', ...args], source.address)
        expect(outcome).toMatchObject({
          code: 1,
          stderr: `Nothing was exported to ${join(disk, 'full')}: the disk is full.\n`,
        })
        expect(readdirSync(disk)).toEqual([])
      }
    } finally {
      run(['umount', disk])
    }
  },
)

function run(command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command)
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
}
