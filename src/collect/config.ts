import { readFileSync } from 'node:fs'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { UserError } from '../platform/user-error.ts'
import { withPaths } from './inputs.ts'
import type { Mapping, Target } from './mapping.ts'
import { OTLP_PRESETS, type OtlpPreset, presetsOf } from './otlp/presets.ts'
import { PRESETS } from './presets.ts'
import { SOURCES, WITH_MAIN } from './pull/index.ts'
import type { Source } from './pull/source.ts'
import { SETTING_NAMES, SETTINGS, type Setting, type SettingName, variableOf } from './settings.ts'

/** The configuration of `tallybook collect`. */
export type CollectConfig = {
  url: string
  dpToken: string
  host: string
  port: number
  token: string | null
  directory: string
  instance: string | null
  target: Target
  mappings: Record<string, Mapping>
  otlp: OtlpPreset[]
  pulls: { name: string; source: Source; from: 'now' | 'start'; everyMs: number }[]
  keepIdsSeconds: number
  commitMs: number
  bodyLimitBytes: number
}

const Path = Type.String({ minLength: 1, maxLength: 1_000 })
const Paths = Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), Path)
const Name = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,63}$' })
const strict = { additionalProperties: false }
const ConditionSchema = Type.Object(
  {
    path: Path,
    in: Type.Optional(Type.Array(Type.Union([Type.String(), Type.Number(), Type.Boolean()]))),
  },
  strict,
)
const MappingSchema = Type.Object(
  {
    preset: Type.Optional(Type.String()),
    only: Type.Optional(Type.Array(ConditionSchema)),
    except: Type.Optional(Type.Array(ConditionSchema)),
    id: Type.Optional(Type.Array(Path, { minItems: 1 })),
    key: Type.Optional(Path),
    hash_key: Type.Optional(Type.Boolean()),
    name: Type.Optional(Path),
    group: Type.Optional(Path),
    time: Type.Optional(Path),
    status: Type.Optional(Path),
    error: Type.Optional(Path),
    tokens: Type.Optional(
      Type.Object(
        {
          input: Type.Optional(Path),
          cache_read: Type.Optional(Path),
          cache_write: Type.Optional(Path),
          output: Type.Optional(Path),
          reasoning: Type.Optional(Path),
          if: Type.Optional(Path),
          input_has_cache: Type.Optional(Type.Boolean()),
          output_has_reasoning: Type.Optional(Type.Boolean()),
        },
        strict,
      ),
    ),
    cost: Type.Optional(Path),
    dimensions: Type.Optional(Paths),
    measures: Type.Optional(Paths),
  },
  strict,
)

const Text = Type.Union([Type.String(), Type.Number()])
const List = Type.Union([Type.String(), Type.Array(Type.String())])
const FileSchema = Type.Object(
  {
    ...Object.fromEntries(SETTING_NAMES.map((name) => [name, Type.Optional(Text)])),
    presets: Type.Optional(List),
    dimensions: Type.Optional(List),
    measures: Type.Optional(List),
    pull: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Name,
            preset: Type.String(),
            location: Type.String({ minLength: 1 }),
            main: Type.Optional(Type.String({ minLength: 1 })),
            secret: Type.Optional(Type.String()),
            from: Type.Optional(Type.Union([Type.Literal('now'), Type.Literal('start')])),
            every_seconds: Type.Optional(Type.Number({ minimum: 0.1, maximum: 3_600 })),
            settle_seconds: Type.Optional(Type.Number({ minimum: 0.1, maximum: 3_600 })),
          },
          strict,
        ),
      ),
    ),
    mappings: Type.Optional(Type.Record(Name, MappingSchema)),
  },
  strict,
)
type File = Static<typeof FileSchema> & Partial<Record<SettingName, string | number | string[]>>

/** The dimensions and measures of `tallybook catalog init llm`, which the caller passes. */
type Conventions = { dimensions: readonly string[]; measures: readonly string[] }

/**
 * Reads the settings: options before variables before the file before defaults. Throws a UserError
 * that lists everything that can't work.
 */
export function readCollectConfig(
  path: string | null,
  options: Partial<Record<SettingName, string>>,
  env: Record<string, string | undefined>,
  conventions: Conventions,
): CollectConfig {
  const problems: string[] = []
  const file = path === null ? {} : readFile(path)
  const text = (name: SettingName) => {
    const value = options[name] ?? env[variableOf(name)]?.trim() ?? file[name]
    const given = Array.isArray(value) ? value.join(',') : String(value ?? '')
    return given === '' ? (SETTINGS[name] as Setting).default : given
  }
  const list = (name: SettingName, otherwise: readonly string[]) =>
    text(name)
      ?.split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '' && one !== 'none') ?? otherwise
  const number = (name: SettingName, from: number, to: number) => {
    const value = Number(text(name))
    if (Number.isInteger(value) && value >= from && value <= to) return value
    problems.push(`${name} must be a whole number from ${from} to ${to}, not "${text(name)}".`)
    return from
  }
  const url = text('url')!
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) problems.push('url must be an http(s) URL.')
  const listen = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text('listen')!)
  if (listen === null || Number(listen[3]) > 65_535) {
    problems.push(`listen must be a host and a port, such as 127.0.0.1:4318.`)
  }
  const otlp = list('presets', Object.keys(OTLP_PRESETS))
  const unknown = otlp.filter((name) => !Object.hasOwn(OTLP_PRESETS, name))
  if (unknown.length > 0) {
    const known = Object.keys(OTLP_PRESETS).join(', ')
    problems.push(`presets has ${unknown.join(', ')}, which is none of ${known}.`)
  }
  const mappings = { ...PRESETS, ...readMappings(file.mappings ?? {}, problems) }
  const presets = otlp
    .filter((name) => Object.hasOwn(OTLP_PRESETS, name))
    .map((name) => OTLP_PRESETS[name]!)
    .map((one) => ({ ...one, mapping: withPaths(one.mapping, text('key'), text('name')) }))
  const config: CollectConfig = {
    url,
    dpToken: readToken(text('dp_token'), text('dp_token_file'), problems),
    host: listen?.[1] ?? listen?.[2] ?? '',
    port: Number(listen?.[3]),
    token: text('token'),
    directory: text('directory')!,
    instance: text('instance'),
    target: {
      dimensions: new Set(list('dimensions', conventions.dimensions)),
      measures: new Set(list('measures', conventions.measures)),
      defaultKey: text('default_key'),
      group: text('group'),
    },
    mappings,
    otlp: [...presets, ...presetsOf(mappings)],
    pulls: readPulls(file.pull ?? [], env, problems),
    keepIdsSeconds: number('keep_ids_hours', 1, 8_760) * 3_600,
    commitMs: number('commit_ms', 0, 10_000),
    bodyLimitBytes: number('body_limit_bytes', 1_024, 2 ** 30),
  }
  if (problems.length > 0) throw new UserError(problems.join('\n'))
  return config
}

function readFile(path: string): File {
  let file: unknown
  try {
    file = Bun.YAML.parse(readFileSync(path, 'utf8')) ?? {}
  } catch (error) {
    throw new UserError(`${path} can't be read: ${(error as Error).message}`)
  }
  const errors = [...Value.Errors(FileSchema, file)]
  if (errors.length === 0) return file as File
  const lines = errors.slice(0, 10).map(({ path: place, message }) => `${place || '/'}: ${message}`)
  throw new UserError(`${path} can't be used:\n${[...new Set(lines)].join('\n')}`)
}

function readToken(token: string | null, path: string | null, problems: string[]): string {
  if (token !== null) return token
  if (path === null) {
    problems.push('dp_token or dp_token_file must be set.')
    return ''
  }
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    problems.push(`dp_token_file can't be read: ${(error as Error).message}`)
    return ''
  }
}

/** Sources of the file. Locations and secrets may be `env:NAME`, which names a variable. */
function readPulls(
  pulls: NonNullable<File['pull']>,
  env: Record<string, string | undefined>,
  problems: string[],
): CollectConfig['pulls'] {
  const resolve = (text: string) => {
    const variable = /^env:(\w+)$/.exec(text)?.[1]
    const value = variable === undefined ? text : env[variable]
    if (value === undefined) problems.push(`pull: the variable ${variable} is not set.`)
    return value ?? ''
  }
  const names = pulls.map(({ name }) => name)
  if (new Set(names).size < names.length) problems.push('pull: each source needs its own name.')
  const resolveIfAny = (text: string | undefined) => (text === undefined ? null : resolve(text))
  return pulls.flatMap(({ name, preset, from = 'now', every_seconds = 10, ...place }) => {
    const open = Object.hasOwn(SOURCES, preset) ? SOURCES[preset] : undefined
    if (open === undefined) {
      problems.push(`pull.${name}: preset is none of ${Object.keys(SOURCES).join(', ')}.`)
      return []
    }
    if (place.main !== undefined && !WITH_MAIN.includes(preset)) {
      problems.push(`pull.${name}: main is for ${WITH_MAIN.join(' and ')} only.`)
    }
    const source = open({
      location: resolve(place.location),
      secret: resolveIfAny(place.secret),
      main: resolveIfAny(place.main),
      settleMs: (place.settle_seconds ?? 10) * 1_000,
    })
    return [{ name, source, from, everyMs: every_seconds * 1_000 }]
  })
}

/** Mappings of the file; those that name a preset change parts of it. */
function readMappings(
  mappings: NonNullable<File['mappings']>,
  problems: string[],
): Record<string, Mapping> {
  const read: Record<string, Mapping> = {}
  for (const [name, { preset, ...own }] of Object.entries(mappings)) {
    if (preset !== undefined && !Object.hasOwn(PRESETS, preset)) {
      problems.push(`mappings.${name}: there is no preset ${preset}.`)
      continue
    }
    const mapping = { ...(preset === undefined ? {} : PRESETS[preset]), ...own }
    if (mapping.key === undefined) problems.push(`mappings.${name} needs a key or a preset.`)
    else read[name] = { ...mapping, key: mapping.key }
  }
  return read
}
