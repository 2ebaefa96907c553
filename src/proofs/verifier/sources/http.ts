import { HASH_BYTES } from '../../merkle/hash.ts'
import { formatTilePath, type Tile } from '../../merkle/tile.ts'
import { type Get, LIMITS, type Limits, open, readBody, readLines } from '../http-body.ts'
import { readDivided, readList, readSummary, readUsage } from '../http-pages.ts'
import {
  type LogSource,
  NotServed,
  type ServiceEventType,
  SourceError,
  TokenNeeded,
  UsageByDays,
} from './source.ts'

/** Maximum bytes of a small response, a tile and a bundle. */
const MAX = { small: 1024 * 1024, tile: 8_192, entries: 256 * 65_537 }

/** How often a range of events is resumed in a row without progress. */
const TRIES = 5

/** The URL of a running service, and how to read it. */
export type HttpOptions = {
  /** The service's URL, `https://stats.example.com`. */
  url: string
  /** An auditor token, or null to read only what is public. */
  token: string | null
  limits?: Partial<Limits>
}

/**
 * Opens the log of a running service. Throws SourceError if it can't be read, and TokenNeeded if it
 * requires a token.
 */
export async function openHttpSource(options: HttpOptions): Promise<LogSource> {
  const { url, token } = options
  const limits = { ...LIMITS, ...options.limits }
  const base = url.replace(/\/+$/, '')
  const auth: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
  const ask = (path: string, accept = '*/*') => open(base + path, { ...auth, accept }, limits)
  const get: Get = async (path, accept) => {
    const response = await ask(path, accept)
    if (response.status === 200) return response
    await response.body?.cancel()
    const isByDays = response.status === 422 && path.startsWith('/admin/usage?')
    throw new (isByDays ? UsageByDays : NotServed)(`${path} returned ${response.status}`)
  }
  const readText = async (path: string) =>
    (await readBody(await get(path), MAX.small, limits)).toString()
  const readTile = async (shard: number, tile: Tile) => {
    const path = `/audit/log/${shard}/${formatTilePath(tile)}`
    const bytes = await readBody(await get(path), MAX.tile, limits)
    if (bytes.length === tile.width * HASH_BYTES) return bytes
    throw new NotServed(`${path} has ${bytes.length} bytes, not ${tile.width * HASH_BYTES}`)
  }
  const range = { get, limits }
  const shards = await countShards(ask)
  return {
    shards,
    sizes: null,
    readKeys: async () => (await readText('/audit/log/keys')).split('\n').filter(Boolean),
    readHead: (shard) => readText(`/audit/log/${shard}/checkpoint`),
    published: {
      readTiles: (shard, tiles) => Promise.all(tiles.map((tile) => readTile(shard, tile))),
      readEntries: async (shard, tile) => {
        const path = `/audit/log/${shard}/${formatTilePath(tile, 'entries')}`
        return readBody(await get(path), MAX.entries, limits)
      },
    },
    events:
      token === null
        ? null
        : {
            readLines: (shard, from, to) => readEvents({ ...range, shard, from, to, type: null }),
            readEventsOfType: (shard, type, from, to) =>
              readEvents({ ...range, shard, from, to, type }),
          },
    pages:
      token === null
        ? null
        : {
            readSummary: () => readSummary(get, limits),
            readList: (path) => readList(get, limits, path),
            readUsage: (request, isEventual) => readUsage(get, limits, request, isEventual),
            readDivided: (request, isEventual) => readDivided(get, limits, request, isEventual),
          },
  }
}

/**
 * Counts the shards. They are numbered without gaps, so the first without a tree head ends them.
 */
async function countShards(ask: Get): Promise<number> {
  for (let shard = 0; shard <= 1_024; shard++) {
    const response = await ask(`/audit/log/${shard}/checkpoint`)
    await response.body?.cancel()
    if (response.status === 404 && shard > 0) return shard
    if (response.status === 401) throw new TokenNeeded('The log requires an auditor token')
    if (response.status !== 200) {
      throw new SourceError(`The tree head of shard ${shard} returned ${response.status}`)
    }
  }
  throw new SourceError('The service claims more than 1,024 shards')
}

type EventRange = {
  get: Get
  limits: Limits
  shard: number
  from: number
  to: number
  /** Null reads all types. */
  type: ServiceEventType | null
}

/** Reads a range of events. If it breaks off, resumes after the last line. */
async function* readEvents({ get, limits, shard, from, to, type }: EventRange) {
  let after = from - 1
  for (let tries = 1; after < to - 1; tries++) {
    const filter = type === null ? `&limit=${to - 1 - after}` : `&type=${type}`
    const path = `/audit/events?shard=${shard}&after=${after}${filter}`
    try {
      const response = await get(path, 'application/x-ndjson')
      for await (const line of readLines(response, limits)) {
        const position = Number(/^\{"shard":\d+,"position":(\d+)/.exec(line)?.[1])
        if (position >= to) return
        yield line
        // The reader reports a line that is not a later event. Reading can't resume after it.
        if (!(position > after)) return
        after = position
        tries = 0
      }
      return
    } catch (error) {
      if (!(error instanceof SourceError) || tries >= TRIES) throw error
    }
  }
}
