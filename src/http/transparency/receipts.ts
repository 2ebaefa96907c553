import { TypeCompiler } from '@sinclair/typebox/compiler'
import { Elysia } from 'elysia'
import type { Reads } from '../../cluster/replicas/reads.ts'
import { type Location, parseLocation } from '../../events/positions.ts'
import { readEvent } from '../../log/read.ts'
import type { TreeHeads } from '../../proofs/transparency/heads.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import type { BodyReader } from '../body.ts'
import { NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import { receiptDetail } from './detail.ts'
import { ReceiptBody } from './model.ts'
import { answerReceipt } from './proofs.ts'

export type ReceiptOptions = {
  reads: Reads
  shards: number
  heads: TreeHeads
  bodies: BodyReader
  admission: Admission
}

/** Serves POST /internal/receipts: the proof that a flush was recorded, for its poster. */
export function receiptRoute(
  guard: ReturnType<typeof auth>,
  { reads, shards, heads, bodies, admission }: ReceiptOptions,
) {
  return new Elysia({ name: 'receipts' }).use(guard).post(
    '/internal/receipts',
    async (context) => {
      const { request, principal } = context
      const { shard, position } = readPosition(await bodies.read(request, principal.name))
      const event =
        shard < shards
          ? await admission.admitRead(context, () =>
              reads.find((sql) => readEvent(sql, shard, position)),
            )
          : null
      // The answer must not reveal whether another token posted something there.
      if (event?.source !== principal.name) {
        throw new Problem(404, 'not found', 'This token posted no flush at this position.')
      }
      return answerReceipt({ reads, heads, admission }, context, event)
    },
    { parse: 'none', roles: ['dp'], query: NoQuery, detail: receiptDetail },
  )
}

const check = TypeCompiler.Compile(ReceiptBody)

function readPosition(text: string): Location {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = null
  }
  if (!check.Check(body)) {
    throw new Problem(400, 'invalid request body', 'Send a body such as {"position":"0/41"}.')
  }
  return parseLocation(body.position)
}
