import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { GO_FLAGS, runGo, whyNoGo } from '../support/go.ts'

const FOLDER = import.meta.dir

/** The folder where Debian's golang-golang-x-mod-dev installs its packages. */
const DEBIAN_PACKAGES = '/usr/share/gocode'

/** The oldest minor version of Go 1 that compiles it. */
const OLDEST = 19

/** Milliseconds to wait for a module proxy that doesn't answer. */
const DOWNLOAD_MS = 60_000

/**
 * Builds verify.go with Debian's golang.org/x/mod or, without it, with that of go.mod, which Go
 * downloads once. Returns null, or the reason why it can't. Throws if the program doesn't compile.
 */
export async function buildProgram(output: string): Promise<string | null> {
  const reason = await whyNoGo(OLDEST)
  if (reason !== null) return reason
  const isDebian = existsSync(join(DEBIAN_PACKAGES, 'src/golang.org/x/mod/sumdb/tlog'))
  const env: Record<string, string> = isDebian
    ? { GO111MODULE: 'off', GOPATH: DEBIAN_PACKAGES }
    : { GO111MODULE: 'on' }
  if (!isDebian) {
    const { isSuccess } = await runGo(['mod', 'download'], FOLDER, { env, timeout: DOWNLOAD_MS })
    if (!isSuccess)
      return 'Go has no golang.org/x/mod, neither from Debian nor from its module proxy'
  }
  const built = await runGo(['build', GO_FLAGS, '-o', output, 'verify.go'], FOLDER, { env })
  if (!built.isSuccess) throw new Error(built.output)
  return null
}

/** Runs the program and answers its requests; returns its exit code and output. */
export async function runProgram(
  command: string[],
  read: (path: string) => Promise<Response>,
): Promise<[code: number, output: string]> {
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
