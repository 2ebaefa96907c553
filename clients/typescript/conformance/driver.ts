import fs from 'node:fs/promises'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { TallybookClient } from '../src/index.ts'

// Runs a client for the conformance tests: see clients/conformance/README.md for the protocol.

const options = JSON.parse(process.argv.at(-1)!)

/** Kills this process before its n-th change of the disk; a write is torn in the middle. */
function killAt(n: number): void {
  let changes = 0
  const isLast = () => ++changes === n
  const die = () => process.kill(process.pid, 'SIGKILL')
  for (const name of ['rename', 'rm', 'link', 'mkdir', 'writeFile'] as const) {
    const original = fs[name] as (...args: unknown[]) => Promise<unknown>
    Object.assign(fs, {
      [name]: async (...args: unknown[]) => {
        if (isLast()) die()
        return original(...args)
      },
    })
  }
  const open = fs.open
  fs.open = async (...args) => {
    if (isLast()) die()
    const file = await open(...args)
    const write = file.writeFile.bind(file) as (text: string) => Promise<void>
    const sync = file.sync.bind(file)
    return Object.assign(file, {
      writeFile: async (text: string) => {
        if (!isLast()) return write(text)
        await write(text.slice(0, text.length / 2))
        die()
      },
      sync: async () => {
        if (isLast()) die()
        return sync()
      },
    })
  }
}

if (options.kill_at !== undefined) killAt(options.kill_at)

const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

const client = await TallybookClient.open({
  url: options.url,
  token: options.token,
  spool: options.spool,
  instance: options.instance,
  ...(options.seal_interval_ms && { sealIntervalMs: options.seal_interval_ms }),
  ...(options.timeout_ms && { timeoutMs: options.timeout_ms }),
  ...(options.spool_limits && { spoolLimits: options.spool_limits }),
  ...(options.backoff && {
    backoff: { firstMs: options.backoff.first_ms, longestMs: options.backoff.longest_ms },
  }),
  onRejected: (rejected) => print({ event: 'rejected', ...rejected }),
  onPause: (reason) => print({ event: reason === null ? 'resumed' : 'paused', ...reason }),
})

type Command = { op: string; key: never; counts: Record<string, never>; deadline_ms?: number }

async function run({ op, key, counts, deadline_ms }: Command): Promise<object> {
  switch (op) {
    case 'record': {
      const { success_requests: successRequests, ...rest } = counts
      client.record(key, { ...rest, ...(successRequests !== undefined && { successRequests }) })
      return {}
    }
    case 'record_token': {
      const { last_accessed_at: lastAccessedAt, ...rest } = counts
      client.recordToken(key, { ...rest, ...(lastAccessedAt !== undefined && { lastAccessedAt }) })
      return {}
    }
    case 'seal':
      return { sealed: await client.seal() }
    case 'drained':
      return { drained: await client.drained() }
    case 'metrics':
      return { text: client.metrics() }
    case 'close':
      return client.close(deadline_ms)
    default:
      throw new Error(`There is no command ${op}.`)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  print({ op: command.op, ...(await run(command)) })
}
