import { join } from 'node:path'
import { freePort } from '../../support/free-port.ts'
import { until } from '../../support/until.ts'
import { LITELLM, pathOf } from './programs.ts'

/** Virtual keys need a database of LiteLLM's own; this accepts any without one. */
const AUTHENTICATE = `
from litellm.proxy._types import UserAPIKeyAuth

async def authenticate(request, api_key):
    return UserAPIKeyAuth(api_key=api_key)
`

/** Milliseconds for its start: eleven seconds of processor time, more if nothing is compiled. */
const START_MS = 150_000

const START = 'import sys, litellm; sys.exit(litellm.run_server())'

/** What the provider reports of each success; $0.0035 by LiteLLM's prices for gpt-4o. */
const USAGE = { prompt_tokens: 1_000, completion_tokens: 100, total_tokens: 1_100 }
export const COST_MICROS = 3_500

export type LiteLlm = {
  /** Sends a request with a virtual key, and returns the status. */
  ask(key: string, isRefused: boolean): Promise<number>
  stop(): Promise<void>
}

/** Returns the interpreter that `python3` starts: a version manager needs the real home for that. */
function findPython(): string {
  const found = Bun.spawnSync(['python3', '-c', 'import sys; print(sys.executable)'])
  return found.stdout.toString().trim()
}

/** Runs a LiteLLM proxy with these lines in its configuration, before a provider that it knows. */
export async function startLiteLlm(
  folder: string,
  lines: string,
  env: Record<string, string>,
): Promise<LiteLlm> {
  const provider = startProvider()
  const config = join(folder, 'litellm.yaml')
  await Bun.write(join(folder, 'virtual_keys.py'), AUTHENTICATE)
  await Bun.write(
    config,
    `${lines}
model_list:
  - model_name: gpt-4o
    litellm_params:
      { model: openai/gpt-4o, api_base: "http://127.0.0.1:${provider.port}/v1", api_key: sk-provider }
general_settings: { custom_auth: virtual_keys.authenticate }
router_settings: { num_retries: 0, disable_cooldowns: true }
`,
  )
  const port = await freePort()
  const args = ['--config', config, '--host', '127.0.0.1', '--port', String(port)]
  const proxy = Bun.spawn([findPython(), '-c', START, ...args], {
    cwd: folder,
    env: {
      ...{ PATH: process.env.PATH ?? '', HOME: folder, PYTHONPATH: pathOf(LITELLM) },
      ...{ LITELLM_LOCAL_MODEL_COST_MAP: 'True', DEFAULT_FLUSH_INTERVAL_SECONDS: '1' },
      ...{ OTEL_BSP_SCHEDULE_DELAY: '500', LITELLM_MASTER_KEY: 'sk-master', ...env },
    },
    stdio: ['ignore', Bun.file(join(folder, 'litellm.log')), Bun.file(join(folder, 'litellm.err'))],
  })
  const address = `http://127.0.0.1:${port}`
  const stop = async () => {
    proxy.kill('SIGKILL')
    await proxy.exited
    await provider.stop(true)
  }
  const isReady = async () => {
    if (proxy.exitCode !== null) throw new Error(await Bun.file(join(folder, 'litellm.err')).text())
    return fetch(`${address}/health/liveliness`).then(
      ({ ok }) => ok,
      () => false,
    )
  }
  try {
    await until(isReady, START_MS)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    ask: async (key, isRefused) => {
      const { status } = await fetch(`${address}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          model: 'gpt-4o',
          messages: [{ role: 'user', content: isRefused ? 'refuse' : 'answer' }],
        }),
      })
      return status
    },
    stop,
  }
}

/** Answers as OpenAI does, and refuses what it is asked to. */
function startProvider(): Bun.Server<undefined> {
  return Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: async (request) => {
      if ((await request.text()).includes('refuse')) {
        const error = { message: 'refused', type: 'invalid_request_error', code: null, param: null }
        return Response.json({ error }, { status: 400 })
      }
      const message = { role: 'assistant', content: 'Hello.' }
      return Response.json({
        ...{ id: crypto.randomUUID(), object: 'chat.completion', model: 'gpt-4o', usage: USAGE },
        ...{ created: Math.floor(Date.now() / 1_000) },
        choices: [{ index: 0, finish_reason: 'stop', message }],
      })
    },
  })
}
