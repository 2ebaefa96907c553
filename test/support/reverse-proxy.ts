import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasPeer } from './extended.ts'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

const DOCS = join(import.meta.dir, '../../docs')

export const hasNginx = hasPeer('nginx')
export const hasCaddy = hasPeer('caddy')

/** A proxy in front of a service. */
export type ReverseProxy = {
  /** The origin that browsers show: that of `Host`, not of the socket. */
  origin: string
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Sends a GET request from another address of this machine, and returns the status. */
  getFrom(address: string, path: string, headers: Record<string, string>): Promise<number>
  stop(): Promise<void>
}

/** Returns the only block of a document in this language, and with this text in it. */
export async function readSample(document: string, language: string, text = ''): Promise<string> {
  const all = (await readFile(join(DOCS, document), 'utf8')).split(`\`\`\`${language}\n`).slice(1)
  const samples = all.map((rest) => rest.split('```')[0]!).filter((one) => one.includes(text))
  if (samples.length !== 1) throw new Error(`${document} has ${samples.length} ${language} samples`)
  return samples[0]!
}

/** Runs nginx with these lines in its `http` block. `<listen>` in them is replaced by an address. */
export async function startNginx(lines: string): Promise<ReverseProxy> {
  const folder = await makeFolder()
  const port = await freePort()
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
  ${lines.replace('<listen>', `127.0.0.1:${port}`)}
}
`
  const file = join(folder, 'nginx.conf')
  await writeFile(file, config)
  const origin = 'http://stats.example.com:8080'
  return start(['nginx', '-p', folder, '-c', file], { folder, port, origin })
}

/** Runs Caddy with these lines as a site with HTTPS, and a certificate of its own. */
export async function startCaddy(lines: string): Promise<ReverseProxy> {
  const folder = await makeFolder()
  const port = await freePort()
  const origin = `https://localhost:${port}`
  const config = `
{
  admin off
  skip_install_trust
  auto_https disable_redirects
  storage file_system ${folder}
}
${origin} {
  tls internal
  ${lines}
}
`
  const file = join(folder, 'Caddyfile')
  await writeFile(file, config)
  return start(['caddy', 'run', '--config', file, '--adapter', 'caddyfile'], {
    ...{ folder, port, origin },
  })
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-proxy-'))
  await chmod(folder, 0o711)
  return folder
}

async function start(
  command: string[],
  { folder, port, origin }: { folder: string; port: number; origin: string },
): Promise<ReverseProxy> {
  const proxy = Bun.spawn(command, {
    env: { ...process.env, HOME: folder },
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const { protocol, host } = new URL(origin)
  const isSecure = protocol === 'https:'
  const fetchThrough = (path: string, init: RequestInit = {}) =>
    fetch(`${protocol}//${isSecure ? 'localhost' : '127.0.0.1'}:${port}${path}`, {
      ...init,
      headers: { ...(init.headers as Record<string, string>), host },
      redirect: 'manual',
      tls: { rejectUnauthorized: false },
    })
  await until(async () => {
    if (proxy.exitCode !== null) throw new Error(await proxy.stderr.text())
    return fetchThrough('/').then(
      () => true,
      () => false,
    )
  })
  return {
    origin,
    fetch: fetchThrough,
    getFrom: (address, path, headers) =>
      new Promise((resolve, reject) => {
        const options = {
          ...{ host: '127.0.0.1', port, path, localAddress: address },
          ...{ headers: { ...headers, host }, rejectUnauthorized: false, servername: 'localhost' },
        }
        const request = (isSecure ? https : http).get(options, (response) => {
          response.resume()
          resolve(response.statusCode!)
        })
        request.on('error', reject)
      }),
    stop: async () => {
      proxy.kill('SIGTERM')
      await proxy.exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
