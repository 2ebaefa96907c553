import { Database } from 'bun:sqlite'
import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newApiSource } from '../../src/collect/pull/new-api.ts'
import type { Page } from '../../src/collect/pull/source.ts'
import { until } from '../support/until.ts'

// The order in which lines of New API and One API are read.

const NOW = Math.floor(Date.now() / 1_000)

let folder: string
let location: string
let logs: Database

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tallybook-lines-'))
  location = join(folder, 'logs.db')
  logs = new Database(location, { create: true })
  logs.run(`create table logs (id integer primary key, created_at bigint, type integer,
    token_name text, model_name text, quota bigint)`)
})
afterEach(async () => {
  logs.close()
  await rm(folder, { recursive: true })
})

const insert = (id: number, createdAt: number) =>
  logs.run(`insert into logs values (${id}, ${createdAt}, 2, 'cli', 'gpt-5', 1)`)
const open = (settleMs: number) => newApiSource({ location, main: null, settleMs }, true)
const idsOf = ({ records }: Page) => records.map((record) => (record as { id: string }).id)

test('a line that is committed after those with greater ids is read before them', async () => {
  const source = open(200)
  insert(2, NOW - 60)
  expect(await source.read('0')).toEqual({ records: [], cursor: '0', isFull: false })
  insert(1, NOW - 60)
  const page = await until(async () => {
    const read = await source.read('0')
    return read.records.length > 0 && read
  })
  expect([idsOf(page), page.cursor]).toEqual([['1', '2'], '2'])
  // What comes now waits as well.
  insert(3, NOW - 60)
  expect(await source.read('2')).toMatchObject({ records: [], cursor: '2' })
})

test('lines are read whatever their times are', async () => {
  const source = open(0)
  insert(1, NOW + 100_000)
  insert(2, NOW)
  insert(3, NOW - 60)
  expect(idsOf(await source.read('0'))).toEqual(['1', '2', '3'])
})
