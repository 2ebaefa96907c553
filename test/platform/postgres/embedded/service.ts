import { NOBODY, SOURCE, stopAtEnd } from './place.ts'

/** How to run a service: Bun's options, in a session of its own, as which user, which sources. */
export type ServiceOptions = {
  bunArgs?: string[]
  detached?: boolean
  user?: { uid: number; gid: number }
  source?: string
}

// A service in its own process. It prints the outcome of its start, and stops when stdin ends.
const SERVICE = `
  const { startEmbeddedPostgres } = await import(process.env.SOURCE + '/index.ts')
  process.on('SIGINT', () => console.log('SIGINT'))
  try {
    const server = await startEmbeddedPostgres({ dataDir: process.env.DATA_DIR, log() {} })
    console.log(JSON.stringify(server.address))
    for await (const _ of process.stdin) {}
    await server.stop()
  } catch (error) {
    console.log(JSON.stringify({ refusal: error.message }))
  }`

/** Runs a service, and returns its process at once. */
export function runService(dataDir: string, options: ServiceOptions) {
  const child = Bun.spawn([process.execPath, ...(options.bunArgs ?? []), '-e', SERVICE], {
    ...options.user,
    cwd: '/',
    detached: options.detached ?? false,
    env: {
      PATH: process.env.PATH,
      HOME: '',
      TMPDIR: process.env.TMPDIR,
      SOURCE: options.source ?? SOURCE,
      DATA_DIR: dataDir,
    },
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  stopAtEnd(() => {
    child.stdin.end()
    return child.exited
  })
  return child
}

/** Runs a service, and waits until its start has succeeded or failed. */
export async function startService(dataDir: string, options: ServiceOptions = {}) {
  const child = runService(dataDir, options)
  const nextLine = lineReader(child.stdout)
  const outcome = JSON.parse(await nextLine()) as { refusal?: string; host: string; port: number }
  return {
    child,
    nextLine,
    refusal: outcome.refusal ?? null,
    server: { address: { host: outcome.host, port: outcome.port } },
    async stop() {
      child.stdin.end()
      return child.exited
    },
    async kill() {
      child.kill('SIGKILL')
      await child.exited
    },
  }
}

/** Runs an unrelated process as the server's user, until the tests end. */
export function runBystander(user: { uid: number; gid: number }) {
  const asUser = process.getuid?.() === 0 ? { uid: user.uid, gid: user.gid } : {}
  const child = Bun.spawn(['sleep', '1000'], { ...asUser, cwd: '/' })
  stopAtEnd(() => {
    child.kill('SIGKILL')
    return child.exited
  })
  return child
}

/** True if root can run Bun and our sources as user nobody, which can't read below /root. */
export function nobodyCanRun(): boolean {
  if (process.getuid?.() !== 0) return false
  try {
    const script = 'require("node:fs").readFileSync(process.env.FILE)'
    const env = { FILE: import.meta.path }
    return Bun.spawnSync([process.execPath, '-e', script], { ...NOBODY, cwd: '/', env }).success
  } catch {
    return false
  }
}

function lineReader(stream: ReadableStream<Uint8Array>) {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let text = ''
  return async (): Promise<string> => {
    while (!text.includes('\n')) {
      const { value, done } = await reader.read()
      if (done) throw new Error(`the service ended after it printed: ${text}`)
      text += decoder.decode(value, { stream: true })
    }
    const line = text.slice(0, text.indexOf('\n'))
    text = text.slice(line.length + 1)
    return line
  }
}
