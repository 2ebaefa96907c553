import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Elysia } from 'elysia'
import type { Pools, Sql } from '../../db/pool.ts'
import { toLeaf } from '../../events/leaf.ts'
import { readLeafEvents } from '../../log/read.ts'
import { formatEntries } from '../../merkle/entries.ts'
import { formatVerifierKey } from '../../merkle/key.ts'
import { parseTilePath, TILE_WIDTH, type Tile } from '../../merkle/tile.ts'
import type { TreeHeads } from '../../transparency/heads.ts'
import { readTiles } from '../../transparency/tiles.ts'
import type { auth } from '../auth.ts'
import { NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import type { Access } from './access.ts'
import { checkpointDetail, keysDetail, tileDetail } from './detail.ts'
import { ShardParams, TileParams } from './model.ts'
import { orNotFound, shardOf } from './shard.ts'

const compress = promisify(gzip)

type Options = { pools: Pools; shards: number; heads: TreeHeads; access: Access }

/** The log of each shard as C2SP tlog-tiles has it, below /audit/log/<shard>/. */
export function logRoutes(
  guard: ReturnType<typeof auth>,
  { pools, shards, heads, access }: Options,
) {
  const answerTile = async (shard: number, path: string, request: Request) => {
    const tile = parseTilePath(path)
    if (tile === null) throw new Problem(404, 'not found', 'That is not the path of a tile.')
    const [hashes] = await orNotFound(readTiles(pools.read, shard, [tile]))
    const headers = {
      'content-type': 'application/octet-stream',
      'cache-control': `${access.cache}, max-age=31536000, immutable`,
    }
    if (tile.of === 'hashes') return new Response(hashes, { headers })
    return answerEntries(await readEntries(pools.read, shard, tile), request, headers)
  }
  return (
    new Elysia({ name: 'log-tiles' })
      .use(guard)
      .get('/audit/log/keys', () => answerText(formatKeys(heads, shards)), {
        ...access.roles,
        query: NoQuery,
        detail: keysDetail,
      })
      .get(
        '/audit/log/:shard/checkpoint',
        ({ params }) => answerText(heads.newest(shardOf(params.shard, shards)).note),
        { ...access.roles, params: ShardParams, query: NoQuery, detail: checkpointDetail },
      )
      .get(
        '/audit/log/:shard/tile/:level/:number',
        ({ params: { shard, level, number }, request }) =>
          answerTile(shardOf(shard, shards), `tile/${level}/${number}`, request),
        { ...access.roles, params: TileParams, query: NoQuery, detail: tileDetail },
      )
      // The same where the number has several parts, or the tile is partial.
      .get(
        '/audit/log/:shard/tile/*',
        ({ params, request }) =>
          answerTile(shardOf(params.shard, shards), `tile/${params['*']}`, request),
        { ...access.roles, query: NoQuery, detail: { hide: true } },
      )
  )
}

function answerText(text: string): Response {
  return new Response(text, {
    headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache' },
  })
}

function formatKeys(heads: TreeHeads, shards: number): string {
  return Array.from({ length: shards }, (_, shard) => heads.keys(shard))
    .flat()
    .map((key) => `${formatVerifierKey(key)}\n`)
    .join('')
}

/** The leaves of a tile that is there. */
async function readEntries(sql: Sql, shard: number, { number, width }: Tile): Promise<Buffer> {
  const from = number * TILE_WIDTH
  const events = await readLeafEvents(sql, shard, from, from + width)
  const entries = formatEntries(events.map(toLeaf))
  if (entries !== null && events.length === width) return entries
  // An owner took an event out of the log, or wrote one that no append would have.
  throw new Problem(404, 'not found', 'The log no longer holds all events of that tile.')
}

/** Leaves are text of one form: a sixth of their size is left. */
async function answerEntries(
  entries: Buffer,
  request: Request,
  headers: Record<string, string>,
): Promise<Response> {
  const varying = { ...headers, vary: 'Accept-Encoding' }
  const accepted = request.headers.get('accept-encoding') ?? ''
  if (!/(?:^|[\s,])gzip(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(accepted)) {
    return new Response(entries, { headers: varying })
  }
  return new Response(await compress(entries), {
    headers: { ...varying, 'content-encoding': 'gzip' },
  })
}
