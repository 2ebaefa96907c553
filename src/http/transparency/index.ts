import { Elysia } from 'elysia'
import type { auth } from '../auth.ts'
import { accessTo } from './access.ts'
import { logRoutes } from './log.ts'
import { proofRoutes } from './proofs.ts'
import { type ReceiptOptions, receiptRoute } from './receipts.ts'

type Options = ReceiptOptions & { logPublic: boolean }

/** Serves the transparency log: tiles, tree heads, proofs, and receipts for flushes. */
export function transparencyRoutes(guard: ReturnType<typeof auth>, options: Options) {
  const access = accessTo(options.logPublic)
  return new Elysia({ name: 'transparency' })
    .use(logRoutes(guard, { ...options, access }))
    .use(proofRoutes(guard, { ...options, access }))
    .use(receiptRoute(guard, options))
}
