import { join } from 'node:path'
import type { Logger } from 'pino'
import type { ServerAddress } from './postgres/pool.ts'

/** Milliseconds that a job gets to end by itself when it is told to stop. */
const STOP_MS = 5_000

/** What a job works on, and where it tells of itself. */
export type JobOptions = { address: ServerAddress; logger: Logger }

/** A command of this program that runs beside the service, as a process of its own. */
export type Job = {
  /** Resolves when it has ended, however; null is the code of one that a signal ended. */
  ended: Promise<{ exitCode: number | null; output: string }>
  /** Ends it; resolves when it has. */
  stop(): Promise<void>
}

/**
 * Starts `tallybook <args>` on the service's database, so that long work leaves this thread to
 * requests. It ends with the service, a killed one too. What it says on stderr goes to the log.
 */
export function startJob(args: string[], { address, logger }: JobOptions): Job {
  const main = join(import.meta.dir, '../main.ts')
  const child = Bun.spawn([process.execPath, '--no-orphans', main, ...args], {
    env: { ...process.env, TALLYBOOK_DATABASE_ADDRESS: JSON.stringify(address) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = logger.child({ job: args[0] })
  const logged = logLines(child.stderr, log)
  const ended = Promise.all([child.exited, new Response(child.stdout).text(), logged]).then(
    ([, output]) => ({ exitCode: child.exitCode, output }),
  )
  return {
    ended,
    stop: async () => {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await ended
      clearTimeout(timer)
    },
  }
}

async function logLines(stream: ReadableStream<Uint8Array>, log: Logger): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const part of stream) {
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n')
    rest = lines.pop()!
    for (const line of lines) log.info(line)
  }
  if (rest !== '') log.info(rest)
}
