import { HASH_BYTES } from '../../merkle/hash.ts'
import { formatTilePath, type Tile } from '../../merkle/tile.ts'
import { type Get, LIMITS, type Limits, open, readBody, readLines } from '../http-body.ts'
import { readList, readSummary, readUsage } from '../http-pages.ts'
import {
  type LogSource,
  NotServed,
  type ServiceEventType,
  SourceError,
  TokenNeeded,
} from './source.ts'

/** Bytes of what is small, of a tile and of a bundle. */
const MAX = { small: 1024 * 1024, tile: 8_192, entries: 256 * 65_537 }

/** How often a range of events is taken up again where it broke off. */
const TRIES = 5

export type HttpOptions = {
  /** Of the service, `https://stats.example.com`. */
  url: string
  /** An auditor's; null reads what is public. */
  token: string | null
  limits?: Partial<Limits>
}

/**
 * The log of a running service. Throws SourceError where it can't be read: no service there, or a
 * token is needed.
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
    throw new NotServed(`${path} answered ${response.status}`)
  }
  const readText = async (path: string) =>
    (await readBody(await get(path), MAX.small, limits)).toString()
  const readTile = async (shard: number, tile: Tile) => {
    const path = `/audit/log/${shard}/${formatTilePath(tile)}`
    const bytes = await readBody(await get(path), MAX.tile, limits)
    if (bytes.length === tile.width * HASH_BYTES) return bytes
    throw new NotServed(`${path} has ${bytes.length} bytes`)
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
          },
  }
}

/** Shards are numbered without gaps: the first that has no tree head isn't there. */
async function countShards(ask: Get): Promise<number> {
  for (let shard = 0; shard <= 1_024; shard++) {
    const response = await ask(`/audit/log/${shard}/checkpoint`)
    await response.body?.cancel()
    if (response.status === 404 && shard > 0) return shard
    if (response.status === 401) throw new TokenNeeded('The log wants the token of an auditor')
    if (response.status !== 200) {
      throw new SourceError(`The tree head of shard ${shard} answered ${response.status}`)
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
  /** Null: all of them. */
  type: ServiceEventType | null
}

/** A range, taken up after the last line where it broke off. */
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
        // What isn't an event, or not a later one, is for the reader to find; it can't be resumed.
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
