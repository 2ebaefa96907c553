import { readConfig } from '../config.ts'
import { StartError } from '../start-error.ts'
import { readTokens } from '../tokens/files.ts'
import type { Role } from '../tokens/roles.ts'

/** Requests to a running service with the tokens of this data directory. */
export type Client = {
  url: string
  /** The JSON answer; throws StartError with what the service says where it refuses. */
  send<Answer>(role: Role, method: string, path: string, body?: unknown): Promise<Answer>
}

/** A client of the service at `url`, or of the one that the environment names. */
export async function connectToService(url?: string): Promise<Client> {
  const config = readConfig(process.env)
  const tokens = await readTokens(config.dataDir, config.tokens)
  const base = url ?? `http://${config.host}:${config.port}`
  return {
    url: base,
    send: async (role, method, path, body) => {
      const request = {
        method,
        headers: { authorization: `Bearer ${tokens[role]}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }
      const response = await fetch(base + path, request).catch((error: Error) => {
        throw new StartError(`There is no service at ${base} (${error.message}): start one first.`)
      })
      const text = await response.text()
      if (response.ok) return (text === '' ? null : JSON.parse(text)) as never
      throw new StartError(`${method} ${path} answered ${response.status}: ${text}`)
    },
  }
}
