import { afterAll, beforeAll, expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import {
  beginSession,
  endSession,
  findOpenSessions,
  findSession,
  MAX_SESSIONS,
} from '../../src/auth/sessions.ts'
import { createToken, revokeToken } from '../../src/auth/token-store.ts'
import { Tokens } from '../../src/auth/tokens.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../support/server.ts'
import { TOKENS } from '../support/service.ts'

// A session is valid only as long as the token that opened it.

let database: TestDatabase
let pools: Pools

beforeAll(async () => {
  database = await createDatabase()
  pools = openPools(database.address, TEST_SHARDS)
})

afterAll(async () => {
  await pools.close()
  await database.drop()
})

const begin = async (name: string, token: string) =>
  (await beginSession(pools.append, name, token)).id
const find = (tokens: Tokens, id: string) => findSession(pools.read, tokens, id)

test('a session has the name and role of its token until it is ended', async () => {
  const tokens = new Tokens(TOKENS)
  const { id, expiresAt } = await beginSession(pools.append, 'auditor', TOKENS.auditor)
  const idSha256 = hash('sha256', id, 'hex')
  expect(await find(tokens, id)).toEqual({ name: 'auditor', role: 'auditor', idSha256, expiresAt })
  await endSession(pools.append, id)
  expect(await find(tokens, id)).toBeNull()
})

test('a 101st session of a token ends its oldest one, and none of other tokens', async () => {
  const tokens = new Tokens(TOKENS)
  const other = await begin('auditor', TOKENS.auditor)
  const ids: string[] = []
  for (let i = 0; i < MAX_SESSIONS + 5; i++) ids.push(await begin('admin', TOKENS.admin))
  const found = await Promise.all(ids.map((id) => find(tokens, id)))
  expect(found.map((one) => one !== null)).toEqual(ids.map((_, i) => i >= 5))
  expect(await find(tokens, other)).not.toBeNull()
})

test('a fixed token that changed at a restart ends its sessions', async () => {
  const id = await begin('admin', TOKENS.admin)
  expect(await find(new Tokens({ ...TOKENS, dp: 'dp-token-2' }), id)).not.toBeNull()
  expect(await find(new Tokens({ ...TOKENS, admin: 'admin-token-2' }), id)).toBeNull()
  // Even if its text is now that of another token.
  const swapped = { ...TOKENS, admin: TOKENS.auditor, auditor: TOKENS.admin }
  expect(await find(new Tokens(swapped), id)).toBeNull()
})

test('a session of a created token is valid until the token is revoked', async () => {
  const tokens = new Tokens(TOKENS)
  const made = await createToken(pools.append, { name: 'anna', role: 'admin' }, 'admin')
  const id = await begin('anna', made!.token)
  expect(await find(tokens, id)).toBeNull()
  await tokens.refresh(pools.read)
  expect(await find(tokens, id)).toMatchObject({ name: 'anna', role: 'admin' })
  await revokeToken(pools.append, 'anna', 'admin')
  await tokens.refresh(pools.read)
  expect(await find(tokens, id)).toBeNull()
})

test('a row with the token name or the proof of another session is no session', async () => {
  const tokens = new Tokens(TOKENS)
  const [mine, theirs] = [
    await begin('auditor', TOKENS.auditor),
    await begin('admin', TOKENS.admin),
  ]
  await database.owner`update sessions set token_name = 'admin' where token_name = 'auditor'`
  expect(await find(tokens, mine)).toBeNull()
  await database.owner`
    update sessions s set token_proof = other.token_proof
    from sessions other
    where other.id_sha256 = sha256(${Buffer.from(theirs)}) and s.id_sha256 <> other.id_sha256`
  expect(await find(tokens, mine)).toBeNull()
  expect(await find(tokens, theirs)).toMatchObject({ name: 'admin' })
})

test('findOpenSessions returns the open ones of many sessions', async () => {
  const begun = await Promise.all(Array.from({ length: 3 }, () => begin('admin', TOKENS.admin)))
  const [open, ended, expired] = begun.map((id) => hash('sha256', id, 'hex')) as [
    string,
    ...string[],
  ]
  await endSession(pools.append, begun[1]!)
  await database.owner`
    update sessions set expires_at = now() - interval '1 second'
    where id_sha256 = decode(${expired!}, 'hex')`
  const unknown = hash('sha256', 'unknown', 'hex')
  const asked = [unknown, ended!, open, expired!]
  expect(await findOpenSessions(pools.read, asked)).toEqual(new Set([open]))
  expect(await findOpenSessions(pools.read, [])).toEqual(new Set())
})
