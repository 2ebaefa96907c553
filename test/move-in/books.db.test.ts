import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { move, undoMove } from '../../src/move-in/move.ts'
import { SYSTEMS } from '../../src/move-in/systems/index.ts'
import { verifyMove } from '../../src/move-in/verify.ts'
import { useService } from '../support/service.ts'
import { clientOf, createOldDatabase, readMove, type TestOldDatabase } from './old-databases.ts'

// Whatever an older database holds, what can be moved is in the service, row by row and in total.

const service = useService()
let old: TestOldDatabase
beforeAll(async () => {
  old = await createOldDatabase('ez-api')
})
afterAll(() => old?.drop())

const amount = fc.oneof(
  fc.bigInt({ min: 0n, max: 1_000n }),
  fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }),
  fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, -1n),
)
const name = fc.option(fc.string({ unit: 'binary', maxLength: 300 }))
const rated = (group: fc.Arbitrary<bigint>) =>
  fc.record({ id: fc.bigInt({ min: -1n, max: 50n }), group, name, a: amount, b: amount, deleted })
const deleted = fc.boolean()
const key = fc.record({
  hash: fc.string({ unit: 'binary', minLength: 1, maxLength: 260 }),
  ...{ name, a: amount, b: amount, used: amount, deleted },
  limit: fc.oneof(amount, fc.constant(-1n)),
})
const database = fc.record({
  groups: fc.uniqueArray(rated(fc.constant(0n)), { selector: ({ id }) => id }),
  apiKeys: fc.uniqueArray(rated(fc.bigInt({ min: 0n, max: 60n })), { selector: ({ id }) => id }),
  keys: fc.uniqueArray(key, { selector: ({ hash }) => hash }),
})

type Content = typeof database extends fc.Arbitrary<infer Value> ? Value : never

/** A text as PostgreSQL can store it: the server itself refuses NUL. */
const text = (value: string | null) =>
  value === null ? 'null' : `U&'${[...value.replaceAll('\0', '')].map(toEscape).join('')}'`
const toEscape = (character: string) =>
  `\\+${character.codePointAt(0)!.toString(16).padStart(6, '0')}`
const time = (isDeleted: boolean) => (isDeleted ? 'now()' : 'null')

async function fill({ groups, apiKeys, keys }: Content) {
  const insert = (table: string, rows: string[]) =>
    rows.length === 0 ? '' : `insert into ${table} values ${rows.join(',')};`
  const counts = (a: bigint, b: bigint) => `${a}, ${b}, 0, 0, 0`
  await old.run(`
    truncate provider_groups, api_keys, keys;
    ${insert(
      'provider_groups',
      groups.map(
        (r) => `(${r.id}, ${text(r.name ?? '')}, ${counts(r.a, r.b)}, ${time(r.deleted)})`,
      ),
    )}
    ${insert(
      'api_keys',
      apiKeys.map(
        (r) => `(${r.id}, ${r.group}, ${text(r.name)}, ${counts(r.a, r.b)}, ${time(r.deleted)})`,
      ),
    )}
    ${insert(
      'keys',
      keys.map(
        (r) =>
          `(${text(r.hash)}, ${text(r.name)}, ${r.a}, ${r.b}, ${r.limit}, ${r.used}, null,
            ${time(r.deleted)})`,
      ),
    )}`)
}

test('random books are moved without a difference', async () => {
  const client = clientOf(service)
  await fc.assert(
    fc.asyncProperty(database, async (content) => {
      const hashes = content.keys.map(({ hash }) => hash.replaceAll('\0', ''))
      fc.pre(new Set(hashes).size === hashes.length)
      await fill(content)
      const moving = { ...(await readMove('ez-api', old.url)), batchRows: 7 }
      const moved = await move(client, moving)
      const { differences, sums } = await verifyMove(client, moving, moved)
      expect(differences).toEqual([])
      for (const { name, old, opened, now } of sums) {
        expect([name, opened, now]).toEqual([name, old, old])
      }
      await undoMove(client, SYSTEMS['ez-api']!)
    }),
    { numRuns: 8 },
  )
}, 120_000)

test('20,000 token keys and totals beyond 2^53 are moved exactly', async () => {
  await old.run(`
    truncate provider_groups, api_keys, keys;
    insert into provider_groups (id, name, total_requests, success_requests)
      select 1000 + i, 'group ' || i, 9007199254740991, i from generate_series(1, 5) i;
    insert into api_keys (id, group_id, name, total_requests, success_requests)
      select 1000 + i, 1001 + i % 5, 'key ' || i, i, 0 from generate_series(1, 2000) i;
    insert into keys (token_hash, name, request_count, used_tokens)
      select encode(sha256(i::text::bytea), 'hex'), 'k' || i, i, 9007199254740000 + i % 900
      from generate_series(1, 20000) i`)
  const client = clientOf(service)
  const moving = await readMove('ez-api', old.url)
  const moved = await move(client, moving)
  expect(moved.batches).toHaveLength(5)
  const { differences, sums } = await verifyMove(client, moving, moved)
  expect(differences).toEqual([])
  for (const { name, old, opened, now } of sums) {
    expect([name, opened, now]).toEqual([name, old, old])
  }
  expect(sums[0]!.now).toBe(5n * 9007199254740991n)
}, 120_000)
