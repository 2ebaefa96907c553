import { Elysia } from 'elysia'
import type { Reads } from '../../replicas/reads.ts'
import type { TreeHeads } from '../../transparency/heads.ts'
import type { auth } from '../auth.ts'
import type { Bodies } from '../body.ts'
import type { Places } from '../places.ts'
import { accessTo } from './access.ts'
import { logRoutes } from './log.ts'
import { proofRoutes } from './proofs.ts'
import { receiptRoute } from './receipts.ts'

type Options = {
  reads: Reads
  shards: number
  heads: TreeHeads
  bodies: Bodies
  places: Places
  logPublic: boolean
}

/** The transparency log: its tiles and heads, proofs, and receipts for flushes. */
export function transparencyRoutes(guard: ReturnType<typeof auth>, options: Options) {
  const access = accessTo(options.logPublic)
  return new Elysia({ name: 'transparency' })
    .use(logRoutes(guard, { ...options, access }))
    .use(proofRoutes(guard, { ...options, access }))
    .use(receiptRoute(guard, options))
}
