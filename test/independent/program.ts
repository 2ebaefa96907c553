import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

const FOLDER = import.meta.dir

/** Where Debian's golang-golang-x-mod-dev puts its packages. */
const DEBIAN_PACKAGES = '/usr/share/gocode'

/** Milliseconds after which a module proxy that doesn't answer is given up. */
const DOWNLOAD_MS = 60_000

/**
 * Builds verify.go with golang.org/x/mod of Debian, else with that of go.mod, which Go downloads
 * once. Returns why it can't, or null. Throws if the program doesn't compile.
 */
export async function buildProgram(output: string): Promise<string | null> {
  if (Bun.which('go') === null) return 'there is no Go on this machine'
  const isDebian = existsSync(join(DEBIAN_PACKAGES, 'src/golang.org/x/mod/sumdb/tlog'))
  const env: Record<string, string | undefined> = {
    HOME: dirname(output),
    ...process.env,
    CGO_ENABLED: '0',
    GOTOOLCHAIN: 'local',
    // The commit of this checkout says nothing about the program.
    GOFLAGS: '-buildvcs=false',
    ...(isDebian ? { GO111MODULE: 'off', GOPATH: DEBIAN_PACKAGES } : { GO111MODULE: 'on' }),
  }
  const go = (args: string[], timeout?: number) =>
    Bun.spawnSync(['go', ...args], { cwd: FOLDER, env, ...(timeout ? { timeout } : {}) })
  if (!isDebian && !go(['mod', 'download'], DOWNLOAD_MS).success) {
    return 'Go has no golang.org/x/mod, neither from Debian nor from its module proxy'
  }
  // Where Go has nothing in its cache it compiles its own packages, too: without inlining and
  // optimization for two thirds of the processor time.
  const built = go(['build', '-gcflags=all=-l -N', '-o', output, 'verify.go'])
  if (!built.success) throw new Error(built.stderr.toString())
  return null
}

/** Runs the program, and answers what it asks for; gives its exit code and what it said. */
export async function runProgram(
  command: string[],
  read: (path: string) => Promise<Response>,
): Promise<[code: number, said: string]> {
  const child = Bun.spawn(command, { stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' })
  const answer = async (path: string) => {
    const response = await read(path)
    const body = new Uint8Array(await response.arrayBuffer())
    child.stdin.write(`${response.status} ${body.length}\n`)
    child.stdin.write(body)
    await child.stdin.flush()
  }
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true })
    const lines = text.split('\n')
    text = lines.pop()!
    for (const path of lines) await answer(path)
  }
  return [await child.exited, (await child.stderr.text()).trim()]
}
