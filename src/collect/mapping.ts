import { createHash } from 'node:crypto'
import type { Reading, UsageRecord } from './usage-record.ts'
import { dollarsToMicros, toCount, toName, toStatus, toUnixSeconds, toValue } from './values.ts'

/**
 * A place in a record: the names of members, separated by dots, of which the first names
 * may also be one member with dots in it. Alternatives are separated by ` | `, and the first that
 * has a value counts. A text in quotes is that text.
 */
export type Path = string

/** True for records whose value at a path is one of these, or, without `in`, that have one. */
export type Condition = { path: Path; in?: readonly (string | number | boolean)[] }

/** How records of a sender are read. Presets are mappings, and a configuration may add others. */
export type Mapping = {
  /** Only records that meet one of these are counted. Default: all. */
  only?: readonly Condition[]
  /** Records that meet one of these are not counted. */
  except?: readonly Condition[]
  /** The values that together identify a record. Default: its body, and its place there. */
  id?: readonly Path[]
  key: Path
  /** True if the key is a secret, whose SHA-256 then is the external id. */
  hash_key?: boolean
  name?: Path
  group?: Path
  time?: Path
  /** A status code or a word, and, apart from it, an error: what has an error has failed. */
  status?: Path
  error?: Path
  tokens?: {
    input?: Path
    cache_read?: Path
    cache_write?: Path
    output?: Path
    reasoning?: Path
    /** Only records with a value here called a model. Default: all. */
    if?: Path
    /** False if input excludes the cache. Default: it includes it. */
    input_has_cache?: boolean
    /** False if output excludes reasoning. Default: it includes it. */
    output_has_reasoning?: boolean
  }
  /** Dollars. */
  cost?: Path
  dimensions?: Readonly<Record<string, Path>>
  measures?: Readonly<Record<string, Path>>
}

/**
 * Which dimensions and measures the catalog declares, the key of records that name none, and the
 * group of all new keys if the records do not decide.
 */
export type Target = {
  dimensions: ReadonlySet<string>
  measures: ReadonlySet<string>
  defaultKey: string | null
  group?: string | null
}

type Fields = Readonly<Record<string, unknown>>

/** Reads a record. Nothing of it but the mapped values is kept. */
export function readRecord(mapping: Mapping, raw: unknown, target: Target): Reading {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    return { kind: 'malformed', reason: 'not an object' }
  }
  const fields = raw as Fields
  const { only, except = [] } = mapping
  if ((only !== undefined && !isMetBy(fields, only)) || isMetBy(fields, except)) {
    return { kind: 'ignored' }
  }
  const key = readKey(fields, mapping) ?? target.defaultKey
  if (key === null) return { kind: 'malformed', reason: `no key at ${mapping.key}` }
  const status = readStatus(fields, mapping)
  const dimensions: Record<string, string> = {}
  for (const [name, path] of Object.entries(mapping.dimensions ?? {})) {
    const value = toValue(find(fields, path))
    if (value !== null && target.dimensions.has(name)) dimensions[name] = value
  }
  if (target.dimensions.has('status')) dimensions.status = status
  const record: UsageRecord = {
    id: readId(fields, mapping.id),
    key,
    at: mapping.time === undefined ? null : toUnixSeconds(find(fields, mapping.time)),
    isSuccess: status === '2xx',
    dimensions,
    measures: readMeasures(fields, mapping, status === '2xx', target.measures),
  }
  const name = mapping.name === undefined ? null : toName(find(fields, mapping.name))
  const group =
    target.group ?? (mapping.group === undefined ? null : toName(find(fields, mapping.group)))
  if (name !== null) record.name = name
  if (group !== null) record.group = group
  return { kind: 'record', record }
}

/** True if a record meets one of the conditions. */
export function isMetBy(fields: Fields, conditions: readonly Condition[]): boolean {
  return conditions.some(({ path, in: values }) => {
    const value = find(fields, path)
    if (values === undefined) return value !== undefined
    return values.some((one) => String(one) === String(value))
  })
}

/** Returns the value at a path; undefined if there is none, or only null, `` or `-`. */
function find(fields: Fields, path: Path): unknown {
  for (const alternative of alternativesOf(path)) {
    const value = alternative.text ?? findAt(fields, alternative.names)
    if (!EMPTY.has(value)) return value
  }
  return undefined
}

/** An alternative of a path: a text, or the names of members; the same for all its records. */
type Alternative = { text: string | null; names: string }

const parsed = new Map<Path, readonly Alternative[]>()

function alternativesOf(path: Path): readonly Alternative[] {
  const known = parsed.get(path)
  if (known !== undefined) return known
  const alternatives = path
    .split(' | ')
    .map((names) => ({ text: /^"(.*)"$/.exec(names)?.[1] ?? null, names }))
  parsed.set(path, alternatives)
  return alternatives
}

const EMPTY = new Set<unknown>([undefined, null, '', '-'])

function findAt(fields: Fields, path: string): unknown {
  if (Object.hasOwn(fields, path)) return fields[path]
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const inner = Object.hasOwn(fields, path.slice(0, dot)) ? fields[path.slice(0, dot)] : undefined
    if (typeof inner !== 'object' || inner === null) continue
    const found = findAt(inner as Fields, path.slice(dot + 1))
    if (found !== undefined) return found
  }
  return undefined
}

function readKey(fields: Fields, { key, hash_key }: Mapping): string | null {
  const value = find(fields, key)
  if (value === undefined || !hash_key) return toName(value)
  const secret = String(value).replace(/^Bearer\s+/i, '')
  return createHash('sha256').update(secret).digest('hex')
}

function readId(fields: Fields, paths: Mapping['id']): string | null {
  if (paths === undefined) return null
  const parts = paths.map((path) => find(fields, path))
  if (parts[0] === undefined) return null
  return JSON.stringify(parts.map((part) => part ?? null))
}

/** How the request ended. Without anything that says otherwise it has succeeded. */
function readStatus(fields: Fields, { status, error }: Mapping): string {
  const code = status === undefined ? null : toStatus(find(fields, status))
  const failure = error === undefined ? null : toStatus(find(fields, error))
  if (failure !== null && failure !== '2xx') {
    return code === null || code === '2xx' || !/^\d/.test(code) ? failure : code
  }
  return code ?? '2xx'
}

function readMeasures(
  fields: Fields,
  { tokens, cost, measures }: Mapping,
  isSuccess: boolean,
  declared: ReadonlySet<string>,
): Record<string, number> {
  const found: Record<string, number | null> = {}
  for (const [name, path] of Object.entries(measures ?? {})) {
    found[name] = toCount(find(fields, path))
  }
  if (cost !== undefined) found.cost_micros = dollarsToMicros(find(fields, cost))
  if (tokens !== undefined && (tokens.if === undefined || find(fields, tokens.if) !== undefined)) {
    const read = readTokens(fields, tokens)
    Object.assign(found, read ?? (isSuccess ? { unmetered_requests: 1 } : {}))
  }
  const counted: Record<string, number> = {}
  for (const [name, value] of Object.entries(found)) {
    if (value !== null && value > 0 && declared.has(name)) counted[name] = value
  }
  return counted
}

/** Tokens by kind, each in one of them. Null if the record has none. */
function readTokens(
  fields: Fields,
  tokens: NonNullable<Mapping['tokens']>,
): Record<string, number> | null {
  const read = (path: Path | undefined) => (path === undefined ? null : toCount(find(fields, path)))
  const [input, output] = [read(tokens.input), read(tokens.output)]
  if (input === null && output === null) return null
  const cacheRead = read(tokens.cache_read) ?? 0
  const cacheWrite = read(tokens.cache_write) ?? 0
  const reasoning = read(tokens.reasoning) ?? 0
  return {
    input_tokens: without(input ?? 0, cacheRead + cacheWrite, tokens.input_has_cache),
    cache_read_tokens: cacheRead,
    cache_write_tokens: cacheWrite,
    output_tokens: without(output ?? 0, reasoning, tokens.output_has_reasoning),
    reasoning_tokens: reasoning,
  }
}

/** The whole without a part. A part that is greater can't be in it, whatever the convention. */
const without = (whole: number, part: number, hasPart = true) =>
  hasPart && part <= whole ? whole - part : whole
