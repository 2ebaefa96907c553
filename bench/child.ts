import { join } from 'node:path'

/** A running process of the benchmark that listens on `url`. */
export type Child = { url: string; pid: number; stop(): Promise<void> }

const bun = (script: string, args: string[]) => [
  process.execPath,
  '--no-orphans',
  join(import.meta.dir, script),
  ...args,
]

/** Starts a script that runs a server, and waits until it prints `listens on <url>`. */
export const startChild = (script: string, args: string[], env: Record<string, string> = {}) =>
  startServer(bun(script, args), env)

/** The same for any command. */
export async function startServer(command: string[], env: Record<string, string>): Promise<Child> {
  const child = Bun.spawn(command, {
    env: { ...process.env, ...env },
    stdout: 'pipe',
    stderr: 'inherit',
  })
  let text = ''
  for await (const chunk of child.stdout) {
    text += new TextDecoder().decode(chunk)
    const url = /listens on (\S+)/.exec(text)?.[1]
    if (url === undefined) continue
    return {
      url,
      pid: child.pid,
      stop: async () => {
        child.kill('SIGTERM')
        await child.exited
      },
    }
  }
  throw new Error(`${command.join(' ')} did not start: ${text}`)
}

/** Runs a script to its end and parses its last line as JSON. */
export const runChild = async <Result>(script: string, args: string[]): Promise<Result> =>
  (await runMeasuredChild<Result>(script, args)).result

/** The same, and the processor time (s) that the script took. */
export async function runMeasuredChild<Result>(
  script: string,
  args: string[],
): Promise<{ result: Result; cpuSeconds: number }> {
  const child = Bun.spawn(bun(script, args), { stdout: 'pipe', stderr: 'inherit' })
  const output = await child.stdout.text()
  if ((await child.exited) !== 0) throw new Error(`${script} ${args.join(' ')} failed: ${output}`)
  const result = JSON.parse(output.trim().split('\n').at(-1)!) as Result
  return { result, cpuSeconds: cpuSecondsOf(child) }
}

/** Processor time (s) of a process that has ended. */
export const cpuSecondsOf = (ended: Bun.Subprocess) =>
  Number(ended.resourceUsage()?.cpuTime.total ?? 0) / 1e6
