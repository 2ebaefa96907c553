import { cliProxyApiSource } from './cli-proxy-api.ts'
import { liteLlmSource } from './litellm.ts'
import { newApiSource } from './new-api.ts'
import type { Source } from './source.ts'

/** What can be read, by the names of presets: from a database, a file, or over HTTP. */
export const SOURCES: Readonly<
  Record<string, (location: string, secret: string | null) => Source>
> = {
  'new-api': (location) => newApiSource(location, false),
  'one-api': (location) => newApiSource(location, true),
  litellm: liteLlmSource,
  'cli-proxy-api': cliProxyApiSource,
}
