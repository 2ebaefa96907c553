import { afterAll } from 'bun:test'
import { ADDRESS_VARIABLE } from '../../src/cli/database.ts'
import { runCommand } from '../../src/cli/index.ts'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { UserError } from '../../src/platform/user-error.ts'
import { withoutProgress } from '../support/archive.ts'

// One process that runs commands one after the other. The start of a process takes 0.2 s of
// processor time, so a test file that runs a command often starts a process for it only once.

type Request = { args: string[]; env: Record<string, string> }

/**
 * Runs commands in a process that the tests of a file share, and returns their output and exit
 * code as `outcomeOf` does. Not for commands that call process.exit() or read stdin.
 */
export function useCommands() {
  let child: ReturnType<typeof start> | null = null
  afterAll(() => child?.end())
  const run = (args: string[], env: Record<string, string> = {}) => {
    child ??= start()
    return child.run({ args, env })
  }
  /** Runs a command on this database, as a service that starts a command does. */
  const runOn = (
    { address }: { address: ServerAddress },
    args: string[],
    env: Record<string, string> = {},
  ) => run(args, { [ADDRESS_VARIABLE]: JSON.stringify(address), ...env })
  return { run, runOn }
}

function start() {
  const child = Bun.spawn([process.execPath, '--no-orphans', import.meta.path], {
    env: { PATH: process.env.PATH ?? '', TALLYBOOK_DATA_DIR: '/nowhere', TALLYBOOK_PORT: '0' },
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const readStdout = endReader(child.stdout)
  const readStderr = endReader(child.stderr)
  return {
    run: async (request: Request) => {
      child.stdin.write(`${JSON.stringify(request)}\n`)
      child.stdin.flush()
      const [stdout, stderr] = await Promise.all([readStdout(), readStderr()])
      return { code: stdout.code, stdout: stdout.text, stderr: withoutProgress(stderr.text) }
    },
    end: () => {
      child.stdin.end()
      return child.exited
    },
  }
}

/** Ends the output of a command on a stream: a NUL, which no text contains, and the exit code. */
const endMarker = (code: number) => `\0${code}`
const END_MARKER = /^([^\0]*)\0(\d+)\n$/

/** Returns a function that reads the output of the next command. */
function endReader(stream: ReadableStream<Uint8Array>) {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  return async () => {
    for (let text = ''; ; ) {
      const { value, done } = await reader.read()
      if (done) throw new Error(`the process that runs the commands has ended: ${text}`)
      text += decoder.decode(value, { stream: true })
      const end = END_MARKER.exec(text)
      if (end) return { text: end[1]!, code: Number(end[2]) }
    }
  }
}

/** Main function of the process: runs each command from a line of stdin as src/main.ts does. */
async function serveCommands(): Promise<void> {
  const before = { ...process.env }
  for await (const line of console) {
    // The end of stdin.
    if (line === '') break
    const { args, env } = JSON.parse(line) as Request
    process.env = { ...before, ...env }
    process.exitCode = 0
    const code = await runCommand(args).then(
      () => Number(process.exitCode),
      (error: unknown) => {
        const isExpected = error instanceof UserError
        console.error(isExpected ? error.message : error)
        return isExpected ? error.exitCode : 1
      },
    )
    console.log(endMarker(code))
    console.error(endMarker(code))
  }
}

if (import.meta.main) await serveCommands()
