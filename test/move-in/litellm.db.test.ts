import { afterAll, beforeAll, expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { useCommands } from '../cli/one-process.ts'
import { useService } from '../support/service.ts'
import { createOldDatabase, ofService, type TestOldDatabase } from './old-databases.ts'

// LiteLLM is moved: virtual keys, teams, budgets with their periods, and what was spent.

const hashOf = (key: string) => hash('sha256', key, 'hex')
const [ci, chat, gone, free] = ['sk-ci', 'sk-chat', 'sk-gone', 'sk-free'].map(hashOf)

let old: TestOldDatabase
beforeAll(async () => {
  old = await createOldDatabase('litellm')
  await old.run(`
    insert into "LiteLLM_TeamTable" values ('team-1', 'Growth', 1);
    insert into "LiteLLM_BudgetTable" values ('b1', 2.5, '7d');
    insert into "LiteLLM_VerificationToken"
      (token, key_name, key_alias, spend, team_id, max_budget, budget_duration, budget_id,
        last_active) values
      ('${ci}', 'sk-...ci', 'ci', 0.1, 'team-1', 10, '30d', null, '2026-11-01 00:00:00.5'),
      ('${chat}', 'sk-...at', 'chat', 1.25e-05, 'team-2', null, null, 'b1', null),
      ('${free}', 'sk-...ee', null, 0.30000000000000004, null, null, '1d', null, null);
    insert into "LiteLLM_DeletedVerificationToken"
      (id, token, key_alias, spend, team_id, deleted_at) values
      ('1', '${gone}', 'older', 1, 'team-1', '2026-01-01'),
      ('2', '${gone}', 'gone', 2, 'team-1', '2026-02-01');
    insert into "LiteLLM_DailyUserSpend" (id, date, api_key, prompt_tokens, completion_tokens,
        api_requests, successful_requests, failed_requests) values
      ('1', '2026-10-01', '${ci}', 100, 20, 3, 2, 1), ('2', '2026-10-02', '${ci}', 1, 1, 1, 1, 0),
      ('3', '2026-10-01', '${gone}', 5, 5, 2, 2, 0), ('4', '2026-10-01', '${chat}', 0, 0, 1, 0, 1);
    insert into "LiteLLM_SpendLogs" (request_id, api_key, total_tokens, status) values
      ('r1', '${ci}', 7, 'success'), ('r2', '${ci}', 0, 'failure'), ('r3', '${ci}', 1, null)`)
})
afterAll(() => old?.drop())

const service = useService()
const commands = useCommands()
const run = (...args: string[]) => commands.run(args, ofService(service))
const read = <Row>(path: string) => service.read<Row>(path)

test('virtual keys become API keys and token keys, budgets become quotas', async () => {
  const { code, stdout, stderr } = await run('move-in', 'litellm', old.url)
  expect([code, stderr]).toEqual([0, ''])
  // The end of a key is part of a secret.
  expect(stdout).not.toContain('sk-...')
  expect(await read(`/admin/keys/${ci}`)).toMatchObject({
    ...{ name: 'ci', request_count: 4, used_tokens: 122 },
    ...{ quota_limit: 10_000_000, quota_used: 100_000, quota_period: 'month' },
    last_accessed_at: '2026-11-01T00:00:00+00:00',
  })
  expect(await read(`/admin/keys/${chat}`)).toMatchObject({
    ...{ quota_limit: 2_500_000, quota_used: 13, quota_period: 'week' },
  })
  const unlimited = await read<object>(`/admin/keys/${free}`)
  expect(unlimited).toMatchObject({ name: null, quota_limit: -1, quota_used: 300_000 })
  expect(unlimited).not.toHaveProperty('quota_period')
  expect(await read(`/admin/provider-groups/ext:team-1`)).toMatchObject({
    ...{ name: 'Growth', total_requests: 6, success_requests: 5 },
  })
  expect(await read(`/admin/api-keys/ext:${chat}`)).toMatchObject({ group_id: 0 })
  expect(await read(`/admin/api-keys/ext:${gone}?ended=true`)).toMatchObject({
    ...{ name: 'gone', total_requests: 2 },
  })
})

test('compare finds them equal, and what LiteLLM counts after that', async () => {
  expect((await run('compare', old.url)).code).toBe(0)
  await old.run(`update "LiteLLM_DailyUserSpend" set api_requests = api_requests + 1
    where id = '1'`)
  const { code, stdout } = await run('compare', old.url, '--attempts', '1', '--json')
  expect(code).toBe(1)
  const { differences } = JSON.parse(stdout) as { differences: { account: string }[] }
  expect(differences.map(({ account }) => account).sort()).toEqual([
    ...[`api_keys ${ci}`, `keys ${ci}`, 'provider_groups team-1'],
  ])
})

test('a budget that begins anew at another time is a finding', async () => {
  await old.run(`update "LiteLLM_VerificationToken" set budget_duration = '45d'
    where token = '${ci}'`)
  const { code, stderr } = await run('move-in', 'litellm', old.url, '--dry-run')
  expect(code).toBe(1)
  expect(stderr).toContain('--skip period')
  const dropped = await run('move-in', 'litellm', old.url, '--dry-run', '--quotas', 'drop')
  expect(dropped.code).toBe(0)
})

test('without sums by day the log lines count', async () => {
  await old.run('drop table "LiteLLM_DailyUserSpend"')
  expect((await run('move-in', 'litellm', '--undo')).code).toBe(0)
  const { code } = await run('move-in', 'litellm', old.url, '--skip', 'period')
  expect(code).toBe(0)
  expect(await read(`/admin/keys/${ci}`)).toMatchObject({
    ...{ request_count: 3, used_tokens: 8, quota_limit: -1 },
  })
  expect(await read(`/admin/api-keys/ext:${ci}`)).toMatchObject({ success_requests: 2 })
})
