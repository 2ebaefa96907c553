import { join } from 'node:path'
import { freePort } from '../../support/free-port.ts'
import { until } from '../../support/until.ts'
import type { Victim } from './kills.ts'
import { OTELCOL, pathOf } from './programs.ts'

export type OtelCollector = Victim & {
  /** Posts an OTLP request until it is confirmed. */
  post(path: string, request: object): Promise<void>
}

/**
 * Returns an OpenTelemetry Collector with these options, and a configuration in which `127.0.0.1:4317` is the address
 * that it listens on. It is not running yet, and its files are in a folder.
 */
export async function makeOtelCollector(
  folder: string,
  config: string,
  options: readonly string[],
): Promise<OtelCollector> {
  const port = await freePort()
  const file = join(folder, 'otelcol.yaml')
  await Bun.write(file, config.replace('127.0.0.1:4317', `127.0.0.1:${port}`))
  const send = (path: string, body: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    }).then(
      ({ status }) => status,
      () => null,
    )
  let running: Bun.Subprocess | null = null
  return {
    isSentTo: true,
    start: async () => {
      running = Bun.spawn([pathOf(OTELCOL), '--config', file, ...options], {
        stdio: ['ignore', 'ignore', 'inherit'],
      })
      await until(async () => {
        if (running?.exitCode !== null) throw new Error('The OpenTelemetry Collector has ended.')
        return (await send('/v1/traces', '{}')) === 200
      })
    },
    kill: async () => {
      running?.kill('SIGKILL')
      await running?.exited
    },
    post: async (path, request) => {
      const body = JSON.stringify(request)
      await until(async () => (await send(path, body)) === 200)
    },
  }
}
