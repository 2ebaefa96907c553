import { join } from 'node:path'
import type { Logger } from 'pino'
import type { ServerAddress } from './postgres/pool.ts'
import { EMBEDDED } from './shipped/embedded.ts'

/** How long (ms) a job may take to exit after SIGTERM before it is killed. */
const STOP_MS = 5_000

/** The database that a job works on, and the logger for its output. */
export type JobOptions = {
  address: ServerAddress
  logger: Logger
  /** Variables besides those of this process. */
  env?: Record<string, string>
}

/** A command of this program that runs alongside the service, in a separate process. */
export type Job = {
  /** Resolves when the job exits for any reason. `exitCode` is null if a signal ended it. */
  ended: Promise<{ exitCode: number | null; output: string }>
  /** Stops the job. Resolves when it has exited. */
  stop(): Promise<void>
}

/**
 * Starts `tallybook <args>` on the service's database, so that long work doesn't block the thread
 * that serves requests. The job ends when the service does, even if the service is killed. Its
 * stderr goes to the log.
 */
export function startJob(args: string[], { address, logger, env = {} }: JobOptions): Job {
  const program = EMBEDDED === null ? ['--no-orphans', join(import.meta.dir, '../main.ts')] : []
  const child = Bun.spawn([process.execPath, ...program, ...args], {
    env: { ...process.env, ...env, TALLYBOOK_DATABASE_ADDRESS: JSON.stringify(address) },
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
