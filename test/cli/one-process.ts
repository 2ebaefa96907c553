import { afterAll } from 'bun:test'
import { ADDRESS_VARIABLE } from '../../src/cli/database.ts'
import { runCommand } from '../../src/cli/index.ts'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { UserError } from '../../src/platform/user-error.ts'
import { withoutProgress } from '../support/archive.ts'

// Commands that one process runs one after the other. The start of a process takes 0.2 s of
// processor time: a test file that runs a command many times runs it once in its own.

type Request = { args: string[]; env: Record<string, string> }

/**
 * Returns what runs a command in a process that the tests of a file share: what it said and its
 * exit code, as `outcomeOf` does. Not for commands that call process.exit() or read stdin.
 */
export function useCommands() {
  let child: ReturnType<typeof start> | null = null
  afterAll(() => child?.end())
  const run = (args: string[], env: Record<string, string> = {}) => {
    child ??= start()
    return child.run({ args, env })
  }
  /** On this database, as a service starts a command of its own. */
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

/** After what a command has written to a stream: its exit code, behind a character that no text has. */
const endOf = (code: number) => `\0${code}`
const END = /^([^\0]*)\0(\d+)\n$/

/** Reads what one command after the other has written. */
function endReader(stream: ReadableStream<Uint8Array>) {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  return async () => {
    for (let text = ''; ; ) {
      const { value, done } = await reader.read()
      if (done) throw new Error(`the process of the commands ended: ${text}`)
      text += decoder.decode(value, { stream: true })
      const end = END.exec(text)
      if (end) return { text: end[1]!, code: Number(end[2]) }
    }
  }
}

/** The process: runs each command that a line of stdin asks for, as src/main.ts runs one. */
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
    console.log(endOf(code))
    console.error(endOf(code))
  }
}

if (import.meta.main) await serveCommands()
