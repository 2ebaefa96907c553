import { cliProxyApiSource } from './cli-proxy-api.ts'
import { liteLlmSource } from './litellm.ts'
import { newApiSource } from './new-api.ts'
import type { Source } from './source.ts'

/** Where a source is, and what its presets may need besides: each of them null if not stated. */
export type Place = { location: string; secret: string | null; main: string | null }

/** What can be read, by the names of presets: from a database, a file, or over HTTP. */
export const SOURCES: Readonly<Record<string, (place: Place) => Source>> = {
  'new-api': ({ location, main }) => newApiSource(location, main, false),
  'one-api': ({ location, main }) => newApiSource(location, main, true),
  litellm: ({ location }) => liteLlmSource(location),
  'cli-proxy-api': ({ location, secret }) => cliProxyApiSource(location, secret),
}

/** The presets whose records may be in a database of their own, apart from the main one. */
export const WITH_MAIN: readonly string[] = ['new-api', 'one-api']
