import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

const DOCS = join(import.meta.dir, '../../docs')

/** Whether there is nginx on this machine; said once where there is none. */
export const hasNginx = Bun.which('nginx') !== null
if (!hasNginx) console.log('skipped: there is no nginx on this machine')

export type Nginx = {
  /** A request through it, to a host that has a name. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  stop(): Promise<void>
}

/** The block of a document that is lines for nginx. */
export async function readSample(document: string): Promise<string> {
  const text = await readFile(join(DOCS, document), 'utf8')
  const blocks = text.match(/(?:^ {4}.*\n|^\n(?= {4}))+/gm) ?? []
  const samples = blocks.filter((block) => block.includes('proxy_pass'))
  if (samples.length !== 1) throw new Error(`${document} has ${samples.length} samples for nginx`)
  return samples[0]!
}

/** The name under which clients know the service. */
export const HOST = 'stats.example.com:8080'

/**
 * Runs nginx with these lines for its `http` block, on a socket of a folder of its own: `<listen>`
 * in them stands for it.
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
  const requestCatchUp = (path: string, init: RequestInit = {}) =>
    fetch(`http://${HOST}${path}`, { ...init, unix: socket, redirect: 'manual' })
  await until(async () => {
    if (nginx.exitCode !== null) throw new Error(await nginx.stderr.text())
    return requestCatchUp('/').then(
      () => true,
      () => false,
    )
  })
  return {
    fetch: requestCatchUp,
    stop: async () => {
      nginx.kill('SIGTERM')
      await nginx.exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
