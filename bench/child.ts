import { join } from 'node:path'

/** A process of the bench that says where it listens, or prints one line of JSON when it is done. */
export type Child = { url: string; pid: number; stop(): Promise<void> }

const bun = (script: string, args: string[]) => [
  process.execPath,
  '--no-orphans',
  join(import.meta.dir, script),
  ...args,
]

/** Starts a script that serves, and waits until it prints `listens on <url>`. */
export async function startChild(
  script: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<Child> {
  const child = Bun.spawn(bun(script, args), {
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
  throw new Error(`${script} ${args.join(' ')} did not start: ${text}`)
}

/** Runs a script to its end; its last line is JSON. */
export const runChild = async <Result>(script: string, args: string[]): Promise<Result> =>
  (await runMeasuredChild<Result>(script, args)).result

/** The same, and the seconds of a processor that it took from its start to its end. */
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

/** Of a process that has ended. */
export const cpuSecondsOf = (ended: Bun.Subprocess) =>
  Number(ended.resourceUsage()?.cpuTime.total ?? 0) / 1e6
