import { afterAll, beforeAll, expect, test } from 'bun:test'
import { compareBooks, readMove as readMoveOf } from '../../src/move-in/compare/compare.ts'
import { readFlushes } from '../../src/move-in/compare/flushes.ts'
import { FIELDS } from '../../src/move-in/compare/readings.ts'
import { move } from '../../src/move-in/move.ts'
import { readOldBooks, SYSTEMS } from '../../src/move-in/systems/index.ts'
import { useCommands } from '../cli/one-process.ts'
import { useService } from '../support/service.ts'
import {
  clientOf,
  createOldDatabase,
  ofService,
  readMove,
  type TestOldDatabase,
} from './old-databases.ts'

// An older system and the service are compared while both count.

const service = useService()
const commands = useCommands()
const run = (...args: string[]) => commands.run(args, ofService(service))
/** Without reading again what differs. */
const compareOnce = (...args: string[]) => run('compare', old.url, '--attempts', '1', ...args)
const ezApi = SYSTEMS['ez-api']!
let old: TestOldDatabase
beforeAll(async () => {
  old = await createOldDatabase('ez-api')
  await old.run(`
    insert into provider_groups (id, name, total_requests, success_requests)
      values (1, 'openai', 100, 90);
    insert into api_keys (id, group_id, total_requests, success_requests)
      values (7, 1, 100, 90), (8, 1, 0, 0);
    insert into keys (token_hash, request_count, used_tokens, quota_limit, quota_used)
      values ('aa', 1, 10, 1000, 10)`)
})
afterAll(() => old?.drop())

/** Counts a flush as the older system does. */
const countOld = (id: number, requests: number) =>
  old.run(`
    update api_keys set total_requests = total_requests + ${requests} where id = ${id};
    update provider_groups set total_requests = total_requests + ${requests} where id = 1`)
const post = (id: number, requests: number, key: string = crypto.randomUUID()) =>
  service.post(
    '/internal/apikey-stats/flush',
    { keys: [{ api_key_id: id, requests, success_requests: 0 }] },
    { 'idempotency-key': key },
  )

/** Compares with a hook that runs after each reading of the older system. */
async function compareWith(onRead: (attempt: number) => Promise<unknown>, tolerance = 0n) {
  const client = clientOf(service)
  const moved = await readMoveOf(client, [ezApi])
  let attempt = 0
  const readBooks = async () => {
    const books = await readOldBooks(ezApi, old.url)
    await onRead(++attempt)
    return books
  }
  const options = { tolerance, fields: FIELDS, attempts: 3, pauseMs: 0 }
  return compareBooks(client, moved, readBooks, options)
}
const verdicts = ({ lines }: Awaited<ReturnType<typeof compareWith>>) =>
  lines.map(({ account, field, verdict }) => `${account} ${field} ${verdict}`)

test('nothing can be compared before the move', async () => {
  const { code, stdout } = await run('compare', old.url)
  expect([code, stdout]).toEqual([2, ''])
})

test('both are equal after the move, and after both have counted the same', async () => {
  await move(clientOf(service), await readMove('ez-api', old.url))
  expect((await run('compare', old.url)).code).toBe(0)
  await countOld(7, 5)
  await post(7, 5)
  expect((await run('compare', old.url)).code).toBe(0)
})

test('a flush that arrives meanwhile is moving, and equal in the next attempt', async () => {
  const comparison = await compareWith(async (attempt) => {
    if (attempt > 1) return
    await countOld(8, 3)
    await post(8, 3)
  })
  expect([comparison.attempts, verdicts(comparison)]).toEqual([2, []])
})

test('amounts that move at every attempt are not said to be equal, except within the tolerance', async () => {
  const count = async () => {
    await countOld(8, 3)
    await post(8, 3)
  }
  const comparison = await compareWith(count)
  expect(comparison.attempts).toBe(3)
  expect(verdicts(comparison)).toEqual([
    'provider_groups 1 requests moving',
    'api_keys 8 requests moving',
  ])
  expect(verdicts(await compareWith(count, 3n))).toEqual([])
})

test('a lost flush is different, and so is one that was posted twice, which is shown', async () => {
  await countOld(7, 11)
  const lost = await compareWith(async () => {})
  expect([lost.attempts, verdicts(lost)]).toEqual([
    2,
    ['provider_groups 1 requests different', 'api_keys 7 requests different'],
  ])
  expect(lost.lines[1]).toMatchObject({ moved: 100n, old: 116n, now: 105n })
  await post(7, 11)
  await post(7, 11, 'twice')
  const { lines, accounts, batches } = await compareWith(async () => {})
  expect(lines[1]).toMatchObject({ old: 116n, now: 127n })
  const behind = await readFlushes(clientOf(service), lines[1]!, accounts, batches)
  expect([behind.total, behind.earlier]).toEqual([3, 0n])
  const suspects = behind.flushes.filter(({ isSuspect }) => isSuspect)
  expect(suspects.map(({ idempotencyKey, counted }) => [idempotencyKey, counted])).toContainEqual([
    ...['twice', 11n],
  ])
})

test('the command ends with 1, prints the flushes, and takes a tolerance and fields', async () => {
  const { code, stdout } = await compareOnce('--json')
  expect(code).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({
    ...{ system: 'ez-api', position: '0/3', tolerance: 0, different: 2, moving: 0 },
    differences: [
      { account: 'provider_groups 1', amount: 'requests', difference: -11 },
      { account: 'api_keys 7', amount: 'requests', moved: 100, old: 116, service: 127, events: 3 },
    ],
  })
  expect((await compareOnce()).code).toBe(1)
  expect((await compareOnce('--tolerance', '10')).code).toBe(1)
  expect((await compareOnce('--tolerance', '11')).code).toBe(0)
  expect((await compareOnce('--fields', 'successes,tokens')).code).toBe(0)
})

test('an adjustment makes them equal again', async () => {
  const amounts = { total_requests: -11, success_requests: 0 }
  await service.act('/admin/corrections', {
    adjust: { provider_groups: [{ id: 1, ...amounts }], api_keys: [{ id: 7, ...amounts }] },
    reason: 'posted twice during the parallel run',
  })
  expect((await run('compare', old.url)).code).toBe(0)
})

test('rows that are new or gone in the older system', async () => {
  await old.run(`
    insert into api_keys (id, group_id, total_requests) values (20, 1, 4);
    delete from keys where token_hash = 'aa'`)
  const comparison = await compareWith(async () => {})
  expect(verdicts(comparison)).toEqual(['api_keys 20 requests different'])
  expect(comparison.lines[0]).toMatchObject({ moved: null, old: 4n, now: 0n })
  expect(comparison.notes.join()).toContain('keys aa')
  expect(comparison.notes.join()).toContain('api_keys 20')
})

test('wrong arguments and a database that cannot be read end with 2', async () => {
  for (const args of [
    ...[[], [old.url, '--tolerance', '-1'], [old.url, '--fields', 'cost'], ['/nowhere']],
    ...[[old.url, '--system', 'new-api'], ['postgres://nobody@127.0.0.1:1/nothing']],
  ]) {
    const { code, stdout } = await run('compare', ...args)
    expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' })
  }
})
