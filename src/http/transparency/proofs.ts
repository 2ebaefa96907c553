import { Elysia } from 'elysia'
import type { Reads } from '../../cluster/replicas/reads.ts'
import type { StoredEvent } from '../../events/event.ts'
import { hashLeaf, toLeaf } from '../../events/leaf.ts'
import { readEvent, readLeafEvents } from '../../log/read.ts'
import { formatHash } from '../../proofs/merkle/hash.ts'
import type { TreeHeads } from '../../proofs/transparency/heads.ts'
import {
  makeReceipt,
  readConsistencyProof,
  readInclusionProof,
} from '../../proofs/transparency/proofs.ts'
import type { Admission, RequestContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import { EventParams } from '../events/model.ts'
import { typedAs } from '../json.ts'
import { NoQuery } from '../params.ts'
import { Problem, unavailable } from '../problem.ts'
import type { Access } from './access.ts'
import { consistencyDetail, eventProofDetail, inclusionDetail } from './detail.ts'
import { ConsistencyQuery, InclusionQuery } from './model.ts'
import { findInTiles, shardOf } from './shard.ts'

/** How long to wait for a tree head that covers an event, in milliseconds. */
const HEAD_TIMEOUT_MS = 5_000

type Options = {
  reads: Reads
  shards: number
  heads: TreeHeads
  admission: Admission
  access: Access
}

/** Serves GET /audit/proof/inclusion, GET /audit/proof/consistency, and an event's proof file. */
export function proofRoutes(
  guard: ReturnType<typeof auth>,
  { reads, shards, heads, admission, access }: Options,
) {
  return new Elysia({ name: 'proofs' })
    .use(guard)
    .get(
      '/audit/proof/inclusion',
      async (context) => {
        const { query } = context
        const shard = shardOf(query.shard, shards)
        const position = Number(query.position)
        const size = Number(query.tree_size ?? heads.newest(shard).size)
        if (position < 0 || position >= size) {
          throw new Problem(400, 'invalid query', `A tree of size ${size} has no leaf ${position}.`)
        }
        const [hashes, event] = await admission.admitRead(context, async () => [
          await findInTiles(reads, (sql) => readInclusionProof(sql, shard, position, size)),
          await reads.find(
            async (sql) => (await readLeafEvents(sql, shard, position, position + 1))[0] ?? null,
          ),
        ])
        if (event === null) throw new Problem(404, 'not found')
        const leafHash = formatHash(hashLeaf(toLeaf(event)))
        return {
          ...{ shard, position, tree_size: size, leaf_hash: leafHash },
          hashes: hashes.map(formatHash),
        }
      },
      { ...access.roles, query: InclusionQuery, detail: inclusionDetail },
    )
    .get(
      '/audit/proof/consistency',
      async (context) => {
        const { query } = context
        const shard = shardOf(query.shard, shards)
        const from = Number(query.from)
        const to = Number(query.to ?? heads.newest(shard).size)
        if (from > to) {
          throw new Problem(400, 'invalid query', `\`from\` (${from}) exceeds \`to\` (${to}).`)
        }
        const hashes = await admission.admitRead(context, () =>
          findInTiles(reads, (sql) => readConsistencyProof(sql, shard, from, to)),
        )
        return { shard, from, to, hashes: hashes.map(formatHash) }
      },
      { ...access.roles, query: ConsistencyQuery, detail: consistencyDetail },
    )
    .get(
      '/audit/events/:shard/:position/tlog-proof',
      async (context) => {
        const { params } = context
        const [shard, position] = [Number(params.shard), Number(params.position)]
        const event = await admission.admitRead(context, () =>
          reads.find((sql) => readEvent(sql, shard, position)),
        )
        if (event === null) throw new Problem(404, 'not found')
        return answerReceipt({ reads, heads, admission }, context, event)
      },
      // Never public, because it contains the payload.
      {
        roles: ['admin', 'auditor'],
        params: EventParams,
        query: NoQuery,
        detail: eventProofDetail,
      },
    )
}

/** Answers with an event's receipt as a file. Throws problem 503 if no head covers it in time. */
export async function answerReceipt(
  { reads, heads, admission }: Pick<Options, 'reads' | 'heads' | 'admission'>,
  context: RequestContext,
  event: StoredEvent,
) {
  const { shard, position } = event
  const head = await heads.waitForHead(shard, position + 1, HEAD_TIMEOUT_MS)
  if (head === null) throw unavailable('not signed yet')
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'content-disposition': `attachment; filename="${shard}-${position}.tlog-proof"`,
    'cache-control': 'no-store',
  }
  const receipt = await admission.admitRead(context, () =>
    findInTiles(reads, (sql) => makeReceipt(sql, event, head)),
  )
  return typedAs<string>(new Response(receipt, { headers }))
}
