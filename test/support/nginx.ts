import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

const DOCS = join(import.meta.dir, '../../docs')

/** True if nginx is installed; otherwise a line says that its tests are skipped. */
export const hasNginx = Bun.which('nginx') !== null
if (!hasNginx) console.log('skipped: there is no nginx on this machine')

export type Nginx = {
  /** Sends a request through nginx to HOST. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  stop(): Promise<void>
}

/** Returns the only block of a document that is an nginx configuration. */
export async function readSample(document: string): Promise<string> {
  const text = await readFile(join(DOCS, document), 'utf8')
  const blocks = text.match(/(?:^ {4}.*\n|^\n(?= {4}))+/gm) ?? []
  const samples = blocks.filter((block) => block.includes('proxy_pass'))
  if (samples.length !== 1) throw new Error(`${document} has ${samples.length} nginx samples`)
  return samples[0]!
}

/** The host that clients use for the service. */
export const HOST = 'stats.example.com:8080'

/**
 * Runs nginx with these lines in its `http` block. It listens on a socket in its own temporary
 * folder, which replaces `<listen>` in the lines.
 */
export async function startNginx(lines: string): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-nginx-'))
  await chmod(folder, 0o711)
  const socket = join(folder, 'nginx.sock')
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const config = `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events {}
http {
  access_log off;
  ${paths.map((path) => `${path}_temp_path ${folder}/${path};`).join('\n  ')}
  ${lines.replace('<listen>', `unix:${socket}`)}
}
`
  await writeFile(join(folder, 'nginx.conf'), config)
  const nginx = Bun.spawn(['nginx', '-p', folder, '-c', join(folder, 'nginx.conf')], {
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const fetchThrough = (path: string, init: RequestInit = {}) =>
    fetch(`http://${HOST}${path}`, { ...init, unix: socket, redirect: 'manual' })
  await until(async () => {
    if (nginx.exitCode !== null) throw new Error(await nginx.stderr.text())
    return fetchThrough('/').then(
      () => true,
      () => false,
    )
  })
  return {
    fetch: fetchThrough,
    stop: async () => {
      nginx.kill('SIGTERM')
      await nginx.exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
