import { expect } from 'bun:test'
import { type TestService, TOKENS } from './service.ts'

/**
 * Runs the commands of a document's first console session against a service, expects the output
 * shown below each, and returns the number of lines of the session.
 */
export async function runConsole(text: string, service: TestService): Promise<number> {
  const session = /```console\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  const lines = session.split('\n').filter((line) => line !== '')
  const tokens = { DP: TOKENS.dp, ADMIN: TOKENS.admin, AUDITOR: TOKENS.auditor }
  let output: string[] = []
  for (const line of lines) {
    if (!line.startsWith('$ ')) {
      expect(output.shift()).toBe(line)
      continue
    }
    expect(output).toEqual([])
    // The test's tokens replace those of the data directory.
    if (line.includes('.tallybook/tokens')) continue
    const command = line.slice(2).replaceAll('localhost:3000', service.url.slice('http://'.length))
    const run = Bun.spawn(['bash', '-c', command], { env: { ...process.env, ...tokens } })
    output = (await run.stdout.text()).split('\n').filter(Boolean)
    expect(await run.exited).toBe(0)
  }
  expect(output).toEqual([])
  return lines.length
}
