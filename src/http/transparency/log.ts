import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Elysia } from 'elysia'
import type { Reads } from '../../cluster/replicas/reads.ts'
import { toLeaf } from '../../events/leaf.ts'
import { readLeafEvents } from '../../log/read.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { formatEntries } from '../../proofs/merkle/entries.ts'
import { formatVerifierKey } from '../../proofs/merkle/key.ts'
import { parseTilePath, TILE_WIDTH, type Tile } from '../../proofs/merkle/tile.ts'
import type { TreeHeads } from '../../proofs/transparency/heads.ts'
import { readTiles } from '../../proofs/transparency/tiles.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import { typedAs } from '../json.ts'
import { takesGzip } from '../negotiation.ts'
import { NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import { pathOf } from '../unmatched.ts'
import type { Access } from './access.ts'
import { checkpointDetail, keysDetail, tileDetail } from './detail.ts'
import { ShardParams, TileParams } from './model.ts'
import { findInTiles, shardOf } from './shard.ts'

const compress = promisify(gzip)

/** Path segments after the first one of a tile's number: five of three digits, and the width. */
const MAX_EXTRA_SEGMENTS = 6

type Options = {
  reads: Reads
  shards: number
  heads: TreeHeads
  admission: Admission
  access: Access
}

/** Serves the log of each shard as C2SP tlog-tiles under /audit/log/<shard>/, and the keys. */
export function logRoutes(
  guard: ReturnType<typeof auth>,
  { reads, shards, heads, admission, access }: Options,
) {
  const answerTile = async (
    shard: number,
    path: string,
    { request, set }: { request: Request; set: Set },
  ) => {
    const tile = parseTilePath(path)
    if (tile === null) throw new Problem(404, 'not found', 'The path is not a valid tile path.')
    const [hashes] = await findInTiles(reads, (sql) => readTiles(sql, shard, [tile]))
    const headers = {
      'content-type': 'application/octet-stream',
      'cache-control': cacheOf(set, `${access.cache}, max-age=31536000, immutable`),
    }
    if (tile.content === 'hashes') return new Response(hashes, { headers })
    const entries = await reads.find((sql) => readEntries(sql, shard, tile))
    if (entries !== null) return answerEntries(entries, request, headers)
    // A database owner removed an event, or inserted one that no append would have written.
    throw new Problem(404, 'not found', 'The log no longer holds all events of this tile.')
  }
  /**
   * Serves tiles whose number has several segments, and partial tiles. A wildcard path would be
   * matched by Elysia instead of Bun, and Elysia drops the shortest path of optional segments.
   */
  const nestedTileRoutes = () => {
    const routes = new Elysia({ name: 'deeper-tiles' }).use(guard)
    for (let depth = 1; depth <= MAX_EXTRA_SEGMENTS; depth++) {
      const deeper = Array.from({ length: depth }, (_, i) => `/:part${i}`).join('')
      routes.get(
        `/audit/log/:shard/tile/:level/:number${deeper}`,
        (context) =>
          admission.admitRead(context, () =>
            answerTile(
              shardOf(context.params.shard!, shards),
              tilePathOf(context.request),
              context,
            ),
          ),
        { ...access.roles, query: NoQuery, detail: { hide: true } },
      )
    }
    return routes
  }
  return new Elysia({ name: 'log-tiles' })
    .use(guard)
    .get(
      '/audit/log/keys',
      (context) =>
        admission.admitRead(context, () => answerText(formatKeys(heads, shards), context.set)),
      {
        ...access.roles,
        query: NoQuery,
        detail: keysDetail,
      },
    )
    .get(
      '/audit/log/:shard/checkpoint',
      (context) =>
        admission.admitRead(context, () =>
          answerText(heads.newest(shardOf(context.params.shard, shards)).note, context.set),
        ),
      { ...access.roles, params: ShardParams, query: NoQuery, detail: checkpointDetail },
    )
    .get(
      '/audit/log/:shard/tile/:level/:number',
      (context) =>
        admission.admitRead(context, () => {
          const { shard, level, number } = context.params
          return answerTile(shardOf(shard, shards), `tile/${level}/${number}`, context)
        }),
      { ...access.roles, params: TileParams, query: NoQuery, detail: tileDetail },
    )
    .use(nestedTileRoutes())
}

/** Returns the part of a request's path from `tile` on, such as `tile/0/x001/067.p/8`. */
function tilePathOf({ url }: Request): string {
  const path = pathOf(url)
  return path.slice(path.indexOf('/tile/') + 1)
}

type Set = { headers: Record<string, string | number | undefined> }

/** Returns the `cache-control` that http/auth.ts set for a session, or else the usual one. */
const cacheOf = ({ headers }: Set, usual: string) => String(headers['cache-control'] ?? usual)

function answerText(text: string, set: Set) {
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': cacheOf(set, 'no-cache'),
  }
  return typedAs<string>(new Response(text, { headers }))
}

function formatKeys(heads: TreeHeads, shards: number): string {
  return Array.from({ length: shards }, (_, shard) => heads.keys(shard))
    .flat()
    .map((key) => `${formatVerifierKey(key)}\n`)
    .join('')
}

/** Reads the leaves of a tile; null if some are missing. */
async function readEntries(
  sql: Sql,
  shard: number,
  { number, width }: Tile,
): Promise<Buffer<ArrayBuffer> | null> {
  const from = number * TILE_WIDTH
  const events = await readLeafEvents(sql, shard, from, from + width)
  const entries = formatEntries(events.map(toLeaf))
  return events.length === width ? entries : null
}

/** Answers with the leaves, compressed if possible: to a sixth, as they all look alike. */
async function answerEntries(
  entries: Buffer<ArrayBuffer>,
  request: Request,
  headers: Record<string, string>,
): Promise<Response> {
  const varying = { ...headers, vary: 'Accept-Encoding' }
  if (!takesGzip(request)) return new Response(entries, { headers: varying })
  return new Response(await compress(entries), {
    headers: { ...varying, 'content-encoding': 'gzip' },
  })
}
