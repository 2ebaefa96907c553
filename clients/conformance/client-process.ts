import type { Subprocess } from 'bun'

/** How a driver starts its client. Absent fields have the client's defaults. */
export type DriverOptions = {
  url: string
  token: string
  spool: string
  instance: string
  seal_interval_ms?: number
  timeout_ms?: number
  backoff?: { first_ms: number; longest_ms: number }
  spool_limits?: { flushes: number; bytes: number }
  /** The driver kills itself before its n-th change of the disk, counted from 1. */
  kill_at?: number
}

/** A line that a driver prints: the answer to a command, or something that has happened. */
export type Line = { op?: string; event?: string } & Record<string, unknown>

/** A client in a process of its own, which takes commands and can be killed. */
export class ClientProcess {
  readonly #child: Subprocess<'pipe', 'pipe', 'inherit'>
  readonly #lines: AsyncGenerator<Line>
  /** What has happened in the client: rejected flushes and pauses. */
  readonly events: Line[] = []

  /** `command` runs a driver; the options follow as its last argument. */
  constructor(command: readonly string[], options: DriverOptions) {
    this.#child = Bun.spawn([...command, JSON.stringify(options)], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    })
    this.#lines = readLines(this.#child.stdout)
  }

  /** Sends a command and returns its answer; null if the process has died. */
  async send(op: string, fields: object = {}): Promise<Line | null> {
    try {
      this.#child.stdin.write(`${JSON.stringify({ op, ...fields })}\n`)
      await this.#child.stdin.flush()
    } catch {
      return null
    }
    for (;;) {
      const { value, done } = await this.#lines.next()
      if (done) return null
      if (value.op === op) return value
      this.events.push(value)
    }
  }

  /** Kills the process as `kill -9` does, and waits for its end. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#child.exited
  }

  async exited(): Promise<void> {
    this.#child.stdin.end()
    await this.#child.exited
  }
}

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<Line> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop()!
    for (const line of lines) yield JSON.parse(line) as Line
  }
}
