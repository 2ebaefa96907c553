// The sealed flush: its file, its name, and how flushes contain each other. No clock, no disk.

/** Flushes of API keys and of token keys go to different routes, each with its own sequence. */
export type Kind = 'api' | 'token'

export const PATHS: Record<Kind, string> = {
  api: '/internal/apikey-stats/flush',
  token: '/internal/stats/flush',
}

/** An entry of a flush, as it is posted. One of the first three fields is set. */
export type Entry = {
  api_key_id?: number
  api_key?: string
  token_hash?: string
  /** Describe a key that the service may register: its name, and the external id of its group. */
  name?: string
  group?: string
  requests: number
  success_requests?: number
  tokens?: number
  last_accessed_at?: number
  dimensions?: Record<string, string>
  measures?: Record<string, number>
}

/** The content of a file of the spool. It never changes. */
export type Flush = {
  version: 1
  path: string
  key: string
  /** The value of Tallybook-Sequence; null in a part that does not carry it. */
  sequence: string | null
  /** Unix seconds. */
  sealed_at: number
  /** The text that is posted. */
  body: string
  /** A text of the application, which is not posted (see `sealBatch`). */
  note?: string
}

export type Body = { counted_at?: number; keys: Entry[] }

/** What the name of a file says: `9f86d081884c.api_000000000005-000000000006.1.json`. */
export type FlushName = { epoch: string; first: number; last: number; parts: readonly number[] }

const NAME = /^([0-9a-f]{12}\.(?:api|token))_(\d{12})(?:-(\d{12}))?((?:\.\d+)*)\.json$/

const padded = (number: number) => `${number}`.padStart(12, '0')

export function formatName({ epoch, first, last, parts }: FlushName): string {
  const range = first === last ? padded(first) : `${padded(first)}-${padded(last)}`
  return `${epoch}_${range}${parts.map((part) => `.${part}`).join('')}.json`
}

/** Returns null for a file that is no flush. */
export function parseName(file: string): FlushName | null {
  const [, epoch, first, last, parts] = NAME.exec(file) ?? []
  if (epoch === undefined) return null
  return {
    epoch,
    first: Number(first),
    last: Number(last ?? first),
    parts: parts!.split('.').slice(1).map(Number),
  }
}

/** Parses a file's text. Returns null if it is not that of a flush. */
export function parseFlush(text: string): Flush | null {
  try {
    const flush = JSON.parse(text) as Flush
    const { version, sealed_at, body } = flush
    return version === 1 && typeof sealed_at === 'number' && typeof body === 'string' ? flush : null
  } catch {
    return null
  }
}

/** The range of sequence numbers as in headers: `5`, or `5-6`. */
export const formatRange = ({ first, last }: Pick<FlushName, 'first' | 'last'>) =>
  first === last ? `${first}` : `${first}-${last}`

/** True if what `other` counts is counted by `whole` too. A flush does not contain itself. */
export function contains(whole: FlushName, other: FlushName): boolean {
  if (whole.epoch !== other.epoch) return false
  if (whole.first === other.first && whole.last === other.last)
    return (
      whole.parts.length < other.parts.length &&
      whole.parts.every((part, level) => part === other.parts[level])
    )
  return whole.parts.length === 0 && whole.first <= other.first && other.last <= whole.last
}

/** The flushes that another one contains: what an interrupted merge or split left. */
export function findContained<Named extends { name: FlushName }>(flushes: Named[]): Named[] {
  return flushes.filter(({ name }) => flushes.some((other) => contains(other.name, name)))
}

/** Makes a flush of entries. `isLast` marks the end of its epoch. */
export function seal(
  instance: string,
  kind: Kind,
  name: FlushName,
  sealedAt: number,
  entries: readonly Entry[],
  isLast: boolean,
): Flush {
  const sequence = `${name.epoch}/${formatRange(name)}`
  return {
    version: 1,
    path: PATHS[kind],
    key: `${instance}/${sequence}`,
    sequence: isLast ? `${sequence};last` : sequence,
    sealed_at: sealedAt,
    body: formatBody({ counted_at: sealedAt, keys: [...entries] }),
  }
}

export const formatBody = (body: Body) => JSON.stringify(body)

export const parseBody = (flush: Flush) => JSON.parse(flush.body) as Body

/** The body without the time at which it was counted; null if it states none. */
export function withoutCountedAt(flush: Flush): string | null {
  const { counted_at, ...rest } = parseBody(flush)
  return counted_at === undefined ? null : formatBody(rest)
}

/** Splits a flush into halves, the last of which carries the sequence; null if it has one entry. */
export function split(name: FlushName, flush: Flush): { name: FlushName; flush: Flush }[] | null {
  const { keys, ...rest } = parseBody(flush)
  const { note: _, ...whole } = flush
  if (keys.length < 2) return null
  const middle = Math.ceil(keys.length / 2)
  return [keys.slice(0, middle), keys.slice(middle)].map((half, i) => ({
    name: { ...name, parts: [...name.parts, i + 1] },
    flush: {
      ...whole,
      key: `${flush.key}.${i + 1}`,
      sequence: i === 1 ? flush.sequence : null,
      body: formatBody({ ...rest, keys: half }),
    },
  }))
}
