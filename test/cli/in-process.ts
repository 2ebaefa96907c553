import { spyOn } from 'bun:test'
import { ADDRESS_VARIABLE } from '../../src/cli/database.ts'
import { runCommand } from '../../src/cli/index.ts'
import type { ServerAddress } from '../../src/db/pool.ts'
import { StartError } from '../../src/start-error.ts'

/**
 * Runs a command in this process, and returns what it said and its exit code, as `outcomeOf` does
 * of a process of its own. That takes 0.2 s of processor time more: where a command is run many
 * times, once is enough. Not for commands that call process.exit().
 */
export async function runInProcess(args: string[], env: Record<string, string>) {
  let stdout = ''
  let stderr = ''
  const spies = [
    spyOn(console, 'log').mockImplementation((line) => {
      stdout += `${line}\n`
    }),
    spyOn(console, 'error').mockImplementation((line) => {
      stderr += `${line}\n`
    }),
    // To Bun.stdout, which is where these commands write to by it.
    spyOn(Bun, 'write').mockImplementation(async (_, text) => {
      stdout += text
      return 0
    }),
  ]
  const before = { ...process.env }
  Object.assign(process.env, env)
  try {
    await runCommand(args)
    return { code: Number(process.exitCode ?? 0), stdout, stderr }
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    return { code: error.exitCode, stdout, stderr: `${stderr}${error.message}\n` }
  } finally {
    process.exitCode = 0
    process.env = before
    for (const spy of spies) spy.mockRestore()
  }
}

/** The same on this database, as a service starts a command of its own. */
export const runOnDatabase = (
  args: string[],
  address: ServerAddress,
  env: Record<string, string> = {},
) =>
  runInProcess(args, {
    TALLYBOOK_DATA_DIR: '/nowhere',
    [ADDRESS_VARIABLE]: JSON.stringify(address),
    ...env,
  })
