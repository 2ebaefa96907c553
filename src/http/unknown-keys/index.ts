import { Elysia } from 'elysia'
import type { Adopted, Adoptions } from '../../bookkeeping/adoption/adoptions.ts'
import { type KeysToAdopt, MAX_SCANNED_NAMES } from '../../bookkeeping/adoption/decide.ts'
import { MAX_USED } from '../../bookkeeping/adoption/used.ts'
import { readUnknownKeys } from '../../bookkeeping/unknown-keys.ts'
import type { CatalogWriter } from '../../log/catalog/change.ts'
import { EVERYTHING } from '../../read-model/queries/scope.ts'
import type { ChangeContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import type { BodyReader } from '../body.ts'
import { type ReadOptions, reflect } from '../counters/consistent-read.ts'
import { jsonResponse } from '../json.ts'
import { DEFAULT_LIMIT, NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import * as details from './detail.ts'
import { UnknownKeysQuery } from './model.ts'
import { type AdoptionOutcome, putKeys, TOO_LARGE } from './put.ts'

type Options = ReadOptions & {
  adoptions: Adoptions
  catalogWriter: CatalogWriter
  bodies: BodyReader
  /** Adopts keys on another thread if that takes much of the log, or reading it. */
  adoptLarge: (keys: KeysToAdopt, source: string) => Promise<Adopted | 'too large' | null>
  /** Adopts the keys of a large body on another thread; then the catalog must be refreshed. */
  adoptBody: (body: Uint8Array, source: string) => Promise<AdoptionOutcome>
  /** Called when shard 0 has grown up to `position`. */
  onAppended: (shard: number, position: number) => void
}

/** Serves GET /admin/unknown-keys and POST /admin/unknown-keys/adopt. */
export function unknownKeyRoutes(guard: ReturnType<typeof auth>, options: Options) {
  const { adoptions, catalogWriter, bodies, admission, onAppended } = options
  const adoptText = async (asking: ChangeContext, text: string): Promise<AdoptionOutcome> => {
    const { name } = asking.principal
    const put = await admission.admitChange(asking, () => putKeys(catalogWriter, name, text))
    if ('error' in put) return put
    const { position, keys } = put
    if (position !== null) onAppended(0, position)
    const adopted = await admission.admitAct(asking, () => adoptions.adopt(keys, name))
    if (adopted !== 'too large') return { position, adopted }
    const adoptLarge = () => options.adoptLarge(keys, name)
    return { position, adopted: await admission.admitLargeAdoption(asking, adoptLarge) }
  }
  const adoptBody = async (asking: ChangeContext, body: Uint8Array): Promise<AdoptionOutcome> => {
    const { name } = asking.principal
    const adopt = () => options.adoptBody(body, name)
    try {
      return await admission.admitLargeAdoption(asking, adopt)
    } finally {
      await catalogWriter.refresh()
    }
  }

  return new Elysia({ name: 'unknown-keys' })
    .use(guard)
    .get(
      '/admin/unknown-keys',
      (context) => {
        const { kind, limit = DEFAULT_LIMIT, sort = 'name', cursor = null } = context.query
        const page = { kind, limit: Number(limit), sort, cursor }
        return reflect(options, context, {}, EVERYTHING, (transaction) =>
          readUnknownKeys(transaction, page),
        )
      },
      { roles: ['admin', 'auditor'], query: UnknownKeysQuery, detail: details.list },
    )
    .post(
      '/admin/unknown-keys/adopt',
      async ({ request, principal }) => {
        const asking = { request, principal }
        const read = await bodies.read(request, principal.name, (bytes) => adoptBody(asking, bytes))
        const outcome = typeof read === 'string' ? await adoptText(asking, read) : read
        if ('error' in outcome) throw new Problem(outcome.status, outcome.error, outcome.detail)
        const { position, adopted } = outcome
        if (adopted === 'too large') throw tooLarge()
        const newest = adopted?.position ?? position
        if (newest !== null) onAppended(0, newest)
        return jsonResponse(
          {
            position: adopted === null ? null : `0/${adopted.position}`,
            api_keys: adopted?.apiKeys ?? 0,
            keys: adopted?.keys ?? 0,
            requests: adopted?.requests ?? 0,
          },
          newest === null ? {} : { 'tallybook-position': `0/${newest}` },
        )
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: details.adopt },
    )
}

const tooLarge = () =>
  new Problem(
    422,
    TOO_LARGE,
    `These keys were posted in more than ${MAX_USED} quarter hours and combinations of values, ` +
      `or more than ${MAX_SCANNED_NAMES} of them are not listed. Adopt fewer at once.`,
  )
