import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../support/free-port.ts'
import { until } from '../support/until.ts'

// Servers that speak S3, for tests of the store: SeaweedFS (`weed`) and Moto (Python), if they are
// on this machine.

export const BUCKET = 'segments'

/** Credentials that the servers accept. */
export const CREDENTIALS = { accessKeyId: 'tallybook', secretAccessKey: 'tallybook-secret' }

export type S3Server = { url: string; stop(): Promise<void> }

/** Starts SeaweedFS with an empty bucket, in a temporary folder. */
export async function startSeaweed(): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-weed-'))
  const config = join(folder, 's3.json')
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = CREDENTIALS
  const actions = ['Admin', 'Read', 'List', 'Tagging', 'Write']
  const identities = [{ name: 'tallybook', credentials: [{ accessKey, secretKey }], actions }]
  await Bun.write(config, JSON.stringify({ identities }))
  const names = ['master', 'volume', 'filer', 's3'] as const
  // A gRPC port is that of HTTP and 10,000 more, unless it is given.
  const ports = await Promise.all(names.map(async () => [await freePort(), await freePort()]))
  const flags = names.flatMap((name, i) => [
    ...[`-${name}.port=${ports[i]![0]}`, `-${name}.port.grpc=${ports[i]![1]}`],
  ])
  const where = ['-ip=127.0.0.1', '-ip.bind=127.0.0.1', `-dir=${folder}`, '-volume.max=20']
  const s3 = [
    '-s3',
    `-s3.config=${config}`,
    '-master.volumeSizeLimitMB=64',
    '-master.telemetry=false',
  ]
  return await start(['weed', 'server', ...where, ...flags, ...s3], ports[3]![0]!, folder)
}

/** Starts Moto with an empty bucket. */
export async function startMoto(): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-moto-'))
  const port = await freePort()
  const command = ['python3', '-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)]
  return await start(command, port, folder)
}

async function start(command: string[], port: number, folder: string): Promise<S3Server> {
  const options = { cwd: folder, stdout: 'ignore', stderr: 'ignore' } as const
  const child = Bun.spawn(command, options)
  const stop = async () => {
    child.kill('SIGKILL')
    await child.exited
    await rm(folder, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}/`
  try {
    await until(() => {
      if (child.exitCode !== null) throw new Error(`${command[0]} ended with ${child.exitCode}`)
      return makeBucket(url)
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { url, stop }
}

/** Makes the bucket; returns false if the server is not ready. */
async function makeBucket(endpoint: string): Promise<boolean> {
  // Bun's client signs no request for a bucket. If the bucket is said to be in the host, the path is
  // that of the object, and so can be that of a bucket.
  const options = { ...CREDENTIALS, endpoint, region: 'us-east-1', virtualHostedStyle: true }
  const url = new Bun.S3Client(options).presign(BUCKET, { method: 'PUT' })
  const made = await fetch(url, { method: 'PUT' }).catch(() => null)
  return made?.ok === true || made?.status === 409
}

/** Returns null if a program is there, or why its tests are skipped. */
export function whyNone(program: 'weed' | 'moto'): string | null {
  if (program === 'weed') return Bun.which('weed') === null ? 'there is no weed' : null
  const found =
    Bun.which('python3') !== null &&
    Bun.spawnSync(['python3', '-c', 'import moto.server, flask']).success
  return found ? null : 'Python has no moto with its server'
}
