/** A setting of `tallybook collect`: an option, an environment variable and a line of the file. */
export type Setting = { default: string | null; meaning: string }

/**
 * The settings that are texts or numbers, by their names in the file. The option is `--<name>` with
 * hyphens, the variable `TALLYBOOK_COLLECT_<NAME>`.
 */
export const SETTINGS = {
  url: { default: 'http://127.0.0.1:3000', meaning: 'the service' },
  dp_token: { default: null, meaning: 'its token with the role dp' },
  dp_token_file: { default: null, meaning: 'a file that has this token' },
  listen: { default: '127.0.0.1:4318', meaning: 'host and port for senders' },
  token: { default: null, meaning: 'a token that senders present; default: none' },
  directory: { default: 'tallybook-collect', meaning: 'what was counted, until it is sent' },
  instance: { default: null, meaning: 'the name of this collector; default: the host name' },
  default_key: { default: null, meaning: 'the key of records that name none; default: malformed' },
  key: { default: null, meaning: 'where OTLP attributes have the key, before the usual ones' },
  name: { default: null, meaning: 'where OTLP attributes have the name of the key' },
  group: {
    default: null,
    meaning: 'external id of the group of new keys; default: that of the provider',
  },
  presets: { default: null, meaning: 'OTLP presets, separated by commas; default: all' },
  dimensions: {
    default: null,
    meaning: 'those that the catalog declares; default: of an LLM gateway',
  },
  measures: {
    default: null,
    meaning: 'those that the catalog declares; default: of an LLM gateway',
  },
  keep_ids_hours: { default: '48', meaning: 'how long a repeated record is recognized' },
  commit_ms: { default: '200', meaning: 'records of this time become one flush' },
  body_limit_bytes: {
    default: '67108864',
    meaning: 'the largest body, before and after decompression',
  },
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[]

export const optionOf = (name: SettingName) => name.replaceAll('_', '-')
export const variableOf = (name: SettingName) => `TALLYBOOK_COLLECT_${name.toUpperCase()}`
