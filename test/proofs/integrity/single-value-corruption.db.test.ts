import { beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type postgres from 'postgres'
import { SCHEMA } from '../../../src/platform/postgres/pool.ts'
import {
  finishVerification,
  insertVerification,
} from '../../../src/proofs/integrity/scheduled/stored.ts'
import { insertOldFlushes } from '../../rollups/simulated.ts'
import { insertEmptyFlushes } from '../../support/events.ts'
import { isFull } from '../../support/full.ts'
import { useService } from '../../support/service.ts'
import { untilSigned } from '../verifier/audited.ts'
import type { Corruption } from './corruptions/corruption.ts'
import { ALL_CORRUPTIONS, CORRUPTIONS, renderCorruptions } from './corruptions/index.ts'
import { unlockLog, whileChanged } from './corruptions/make.ts'
import { toRounds } from './corruptions/rounds.ts'
import { rollUpUsage, settle, verify, writeHistory, writeRuleEvents } from './history.ts'

// The owner of the database can disable the triggers and change anything. Every such change of one
// value is reported at its place.

/** The result of a round: the places of each change, and all problems of the verification. */
type Shown = { places: Map<Corruption, string[] | null>; found: string[] }

const rounds = toRounds(CORRUPTIONS)

const service = useService()
let owner: postgres.Sql

beforeAll(async () => {
  owner = service.database.owner
  await insertOldFlushes(service.database, [150, 60])
  await writeHistory(service)
  // Heads are published by then.
  await untilSigned(service)
  await service.stop()
  await writeRuleEvents(service)
  // Fills a tile, so that it has a root.
  await insertEmptyFlushes(owner, 0, 300)
  await settle(service.database, service.shards)
  await rollUpUsage(service.database, { day: 40, month: 3 })
  const started = await insertVerification(owner, null)
  await finishVerification(owner, started!.id, await verify(service.database))
  await owner`
    insert into rebuilds
    values ('usage', 1, 'live', now(), now(), now(), 1, 1, 0, '[]', 'none')`
  await owner`
    insert into sessions
    values (sha256('id'), 'admin', sha256('proof'), now())`
  await owner`insert into instances values ('id', '0.1.0', 12, now(), now())`
  await owner`insert into source_positions values (0, 1) on conflict do nothing`
  await owner`
    insert into sources
    values ('source', 1, 1, 1, 1, 1, 1, array[now()], false, false)`
  await owner`insert into source_epochs values ('source', 'e', 2, '[[0,0]]', now(), false)`
  await owner`
    insert into webhooks
    values ('pager', 'https://h.example', 'whsec_a', 'whsec_b', now(), true, now(), 1, 0)`
  await owner`
    insert into webhook_deliveries
    values ('pager', 1, 'pending', 1, now(), now(), now(), 500, 'no answer in time')`
  // As if the segment ended before the newest event that has a key.
  await owner`
    select pack_keys(0, 0, (
      select max(e.position) - 1
      from events e
      where e.shard = 0 and e.idempotency_key is not null
    ))`
  await unlockLog(owner)
})

/** Makes the changes, none of them at a place in `taken`, and verifies once. */
async function show(changes: Corruption[], taken: string[] = []): Promise<Shown> {
  let found: string[] = []
  const search = async () => {
    const { first } = await verify(service.database)
    found = first.map(({ check, at }) => `${at} (${check})`)
  }
  const places = await whileChanged(owner, changes, search, taken)
  return { places, found }
}

/** Returns the problem that a change causes at each of its places. */
const toFindings = ({ foundBy }: Corruption, places: string[]) =>
  places.map((at) => `${at} (${foundBy})`)

function expectFound(change: Corruption, { places, found }: Shown): void {
  const own = places.get(change)
  if (change.foundBy === 'refused') expect(own).toBeNull()
  else if (change.foundBy === null) expect(found).toEqual([])
  else expect(found).toContainAnyValues(toFindings(change, own!))
}

const nameOf = ({ table, column, change, foundBy }: Corruption) => {
  const value = `${table}.${column}, ${change}`
  if (foundBy === 'refused') return `${value}: the database refuses it`
  return foundBy === null
    ? `${value}: no check reports it`
    : `${value}: check ${foundBy} reports it`
}

test('no problem is reported before anything is changed', async () => {
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
})

test('the list of changes has every column of every table', async () => {
  const columns = await owner<{ name: string }[]>`
    select c.relname || '.' || a.attname as name
    from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = ${SCHEMA}::regnamespace
      and c.relkind in ('r', 'p') and not c.relispartition`
  const listed = new Set(ALL_CORRUPTIONS.map(({ table, column }) => `${table}.${column}`))
  expect([...listed].sort()).toEqual(columns.map(({ name }) => name).sort())
})

test('every change of the list is in exactly one round', () => {
  const inRounds = rounds.flat()
  expect(inRounds).toHaveLength(CORRUPTIONS.length)
  expect(new Set(inRounds)).toEqual(new Set(CORRUPTIONS))
})

test('docs/reference/integrity-checks.md contains the list of changes', () => {
  const docs = readFileSync(
    join(import.meta.dir, '../../../docs/reference/integrity-checks.md'),
    'utf8',
  )
  expect(docs).toContain(renderCorruptions())
})

describe.each(rounds.map((round, i) => ({ round, number: i + 1 })))(
  'changed together, round $number:',
  ({ round }) => {
    let together: Shown

    beforeAll(async () => {
      together = await show(round)
    })

    test.each(round.map((change) => [nameOf(change), change] as const))('%s', (_, change) => {
      expectFound(change, together)
    })

    if (!isFull) return

    test.each(round.map((change) => [nameOf(change), change] as const))(
      'changed alone: %s, and at no place of another change',
      async (_, change) => {
        const before = round.slice(0, round.indexOf(change))
        const taken = before.flatMap((other) => together.places.get(other) ?? [])
        const alone = await show([change], taken)
        // Changes that nothing reports share rows, so an earlier one may have renamed the place.
        if (change.foundBy !== null) {
          expect(alone.places.get(change)).toEqual(together.places.get(change)!)
        }
        expectFound(change, alone)
        for (const other of round) {
          if (other === change) continue
          const places = toFindings(other, together.places.get(other) ?? [])
          expect(alone.found.filter((finding) => places.includes(finding))).toEqual([])
        }
      },
    )
  },
)

test('no problem is reported after all changes are reverted', async () => {
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
})
