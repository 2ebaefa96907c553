import { beforeAll, expect, test } from 'bun:test'
import { outcomeOf, startCommand } from '../support/archive.ts'
import { useService } from '../support/service.ts'
import { useCommands } from './one-process.ts'

// `tallybook replay` prints each flush that added to a number, and the number after it.

const commands = useCommands()
const service = useService({ shards: 1 })
let timestamp: string

beforeAll(async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    ...{
      api_keys: [{ id: 7, group_id: 1 }, { id: 8 }],
      keys: [{ token_hash: 'abc', quota_limit: 9 }],
    },
  })
  const flush = (id: number, requests: number) =>
    service.post('/internal/apikey-stats/flush', {
      keys: [{ api_key_id: id, requests, success_requests: 1 }],
    })
  await flush(7, 5)
  await flush(8, 3)
  timestamp = new Date(Date.now() + 1).toISOString()
  await Bun.sleep(5)
  await flush(7, 4)
  await service.post('/internal/stats/flush', {
    keys: [{ token_hash: 'abc', requests: 1, tokens: 30 }],
  })
})

const run = async (args: string) =>
  readLines(await commands.runOn(service.database, ['replay', ...args.split(' ').filter(Boolean)]))

/** Runs in a process of its own, with keyboard input. */
const runInOwnProcess = async (args: string, input: string) => {
  const { address } = service.database
  const words = ['replay', ...args.split(' ')]
  return readLines(await outcomeOf(startCommand(words, address, {}, input)))
}

/** Lines of an outcome, with times replaced because they differ from run to run. */
function readLines({ code, stdout, stderr }: Awaited<ReturnType<typeof outcomeOf>>) {
  const lines = stdout
    .replace(/ {2}\d{4}-\S+ {2}/g, '  TIME  ')
    .split('\n')
    .filter(Boolean)
  return { code, lines, stderr }
}

test('replays one API key', async () => {
  expect((await run('--key 7')).lines).toEqual([
    '0/1  TIME  dp  +5 requests +1 successes = 5 requests, 1 successes',
    '0/3  TIME  dp  +4 requests +1 successes = 9 requests, 2 successes',
    '9 requests, 2 successes as of 0/4',
  ])
})

test('replays a group, and all groups, without entries that no group counts', async () => {
  const { lines } = await run('--group 1')
  expect(lines).toHaveLength(3)
  expect((await run('')).lines).toEqual(lines)
})

test('replays a token key', async () => {
  const lines = [
    '0/4  TIME  dp  +1 requests +30 tokens +30 quota used = 1 requests, 30 tokens, 30 quota used',
    '1 requests, 30 tokens, 30 quota used as of 0/4',
  ]
  expect((await run('--key abc')).lines).toEqual(lines)
  expect((await run('--token-hash abc')).lines).toEqual(lines)
})

test('replays up to a position or a time', async () => {
  for (const to of ['0/2', timestamp]) {
    expect((await run(`--key 7 --to ${to}`)).lines).toEqual([
      '0/1  TIME  dp  +5 requests +1 successes = 5 requests, 1 successes',
      '5 requests, 1 successes as of 0/2',
    ])
  }
  expect((await run('--key 7 --to 0/0')).lines).toEqual(['0 requests, 0 successes as of 0/0'])
})

test('replays one event at a time with --step', async () => {
  expect((await runInOwnProcess('--key 7 --step', '\n\n')).lines).toHaveLength(3)
  expect((await runInOwnProcess('--key 7 --step', 'q\n')).lines).toHaveLength(1)
  expect((await runInOwnProcess('--key 7 --step', '\nq\n')).lines).toHaveLength(2)
  expect((await runInOwnProcess('--key 7 --step', '')).lines).toHaveLength(1)
})

test.each(['--key', '--group x', '--group 0', '--key 7 --group 1', '--to never', '7', '--to 9/9'])(
  '%s is refused',
  async (args) => {
    const { code, lines, stderr } = await run(args)
    expect([code, lines]).toEqual([1, []])
    expect(stderr).toContain('Usage: tallybook replay')
  },
)

test('a position or time in the future is refused', async () => {
  for (const to of ['0/5', '2999-01-01T00:00:00Z']) {
    expect((await run(`--to ${to}`)).stderr).toContain('is beyond the end of the log')
  }
})
