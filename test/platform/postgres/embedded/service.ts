import { NOBODY, SOURCE, stopAtEnd } from './place.ts'

/** How a service is run: with which options of Bun, in which session, as whom, from which code. */
export type ServiceOptions = {
  bunArgs?: string[]
  detached?: boolean
  user?: { uid: number; gid: number }
  source?: string
}

// A service in a process of its own: it says what came of its start, and stops at the end of stdin.
const SERVICE = `
  const { startEmbeddedPostgres } = await import(process.env.SOURCE + '/index.ts')
  process.on('SIGINT', () => console.log('SIGINT'))
  try {
    const server = await startEmbeddedPostgres({ dataDir: process.env.DATA_DIR, log() {} })
    console.log(JSON.stringify({ host: server.host, port: server.port }))
    for await (const _ of process.stdin) {}
    await server.stop()
  } catch (error) {
    console.log(JSON.stringify({ refusal: error.message }))
  }`

/** Runs a service and gives its process at once. */
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

/** Runs a service and waits for what comes of its start. */
export async function startService(dataDir: string, options: ServiceOptions = {}) {
  const child = runService(dataDir, options)
  const nextLine = lineReader(child.stdout)
  const said = JSON.parse(await nextLine()) as { refusal?: string; host: string; port: number }
  return {
    child,
    nextLine,
    refusal: said.refusal ?? null,
    server: { host: said.host, port: said.port },
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

/** Runs a process that has nothing to do with PostgreSQL but its user, until the tests end. */
export function runBystander(user: { uid: number; gid: number }) {
  const asUser = process.getuid?.() === 0 ? { uid: user.uid, gid: user.gid } : {}
  const child = Bun.spawn(['sleep', '1000'], { ...asUser, cwd: '/' })
  stopAtEnd(() => {
    child.kill('SIGKILL')
    return child.exited
  })
  return child
}

/** Tells whether root may run Bun and our sources as another user (not from under /root). */
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
      if (done) throw new Error(`the service ended, saying: ${text}`)
      text += decoder.decode(value, { stream: true })
    }
    const line = text.slice(0, text.indexOf('\n'))
    text = text.slice(line.length + 1)
    return line
  }
}
