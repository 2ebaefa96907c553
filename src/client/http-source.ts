import { HASH_BYTES } from '../merkle/hash.ts'
import { formatTilePath, type Tile } from '../merkle/tile.ts'
import { open, readBody, readLines } from './http-body.ts'
import { readList, readSummary } from './http-pages.ts'
import { type LogSource, NotServed, SourceError } from './source.ts'

/** Bytes of what is small, of a bundle at most, and of one event: a body of the largest size. */
const MOST = { small: 1024 * 1024, entries: 256 * 65_537, line: 512 * 1024 * 1024 }

/** How often a range of events is taken up again where it broke off. */
const TRIES = 5

export type HttpOptions = {
  /** Of the service, `https://stats.example.com`. */
  url: string
  /** An auditor's; null reads what is public. */
  token: string | null
}

/** A GET of a path below the service's URL, and what came; throws SourceError unless it is 200. */
export type Get = (path: string, accept?: string) => Promise<Response>

/**
 * The log of a running service. Throws SourceError where it can't be read: no service there, or a
 * token is needed.
 */
export async function openHttpSource({ url, token }: HttpOptions): Promise<LogSource> {
  const base = url.replace(/\/+$/, '')
  const auth: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
  const ask = (path: string, accept = '*/*') => open(base + path, { ...auth, accept })
  const get: Get = async (path, accept) => {
    const response = await ask(path, accept)
    if (response.status === 200) return response
    await response.body?.cancel()
    throw new NotServed(`${path} answered ${response.status}`)
  }
  const readText = async (path: string) => (await readBody(await get(path), MOST.small)).toString()
  const shards = await countShards(ask)
  return {
    shards,
    readKeys: async () => (await readText('/audit/log/keys')).split('\n').filter(Boolean),
    readHead: (shard) => readText(`/audit/log/${shard}/checkpoint`),
    published: {
      readTiles: (shard, tiles) => Promise.all(tiles.map((tile) => readTile(get, shard, tile))),
      readEntries: async (shard, tile) => {
        const path = `/audit/log/${shard}/${formatTilePath(tile, 'entries')}`
        return readBody(await get(path), MOST.entries)
      },
    },
    events:
      token === null
        ? null
        : {
            readLines: (shard, from, to) => readEvents(get, shard, from, to, ''),
            readAttestations: (shard, from, to) =>
              readEvents(get, shard, from, to, '&type=ProjectionAttested'),
          },
    pages:
      token === null
        ? null
        : { readSummary: () => readSummary(get), readList: (path) => readList(get, path) },
  }
}

/** Shards are numbered without gaps: the first that has no tree head isn't there. */
async function countShards(ask: Get): Promise<number> {
  for (let shard = 0; shard <= 1_024; shard++) {
    const response = await ask(`/audit/log/${shard}/checkpoint`)
    await response.body?.cancel()
    if (response.status === 404 && shard > 0) return shard
    if (response.status !== 200) {
      throw new SourceError(`The tree head of shard ${shard} answered ${response.status}`)
    }
  }
  throw new SourceError('The service claims more than 1,024 shards')
}

async function readTile(get: Get, shard: number, tile: Tile): Promise<Uint8Array> {
  const path = `/audit/log/${shard}/${formatTilePath(tile)}`
  const bytes = await readBody(await get(path), MOST.entries)
  if (bytes.length === tile.width * HASH_BYTES) return bytes
  throw new NotServed(`${path} has ${bytes.length} bytes`)
}

/** A range, taken up after the last line where it broke off. */
async function* readEvents(
  get: Get,
  shard: number,
  from: number,
  to: number,
  filter: string,
): AsyncGenerator<string> {
  let after = from - 1
  for (let tries = 1; after < to - 1; tries++) {
    const limit = filter === '' ? `&limit=${to - 1 - after}` : ''
    const path = `/audit/events?shard=${shard}&after=${after}${limit}${filter}`
    try {
      const response = await get(path, 'application/x-ndjson')
      for await (const line of readLines(response, MOST.line)) {
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
