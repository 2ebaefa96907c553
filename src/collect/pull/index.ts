import { cliProxyApiSource } from './cli-proxy-api.ts'
import { liteLlmSource } from './litellm.ts'
import { newApiSource } from './new-api.ts'
import type { Place, Source } from './source.ts'

/** What can be read, by the names of presets: from a database, a file, or over HTTP. */
export const SOURCES: Readonly<Record<string, (place: Place) => Source>> = {
  'new-api': (place) => newApiSource(place, false),
  'one-api': (place) => newApiSource(place, true),
  litellm: ({ location }) => liteLlmSource(location),
  'cli-proxy-api': ({ location, secret }) => cliProxyApiSource(location, secret),
}

/** The presets whose records may be in a database of their own, apart from the main one. */
export const WITH_MAIN: readonly string[] = ['new-api', 'one-api']
