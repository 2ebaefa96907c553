import { Elysia } from 'elysia'
import type { Adoptions } from '../../bookkeeping/adoption/adoptions.ts'
import { readUnknownKeys } from '../../bookkeeping/unknown-keys.ts'
import { addExact, type Exact } from '../../events/exact.ts'
import type { Adoption } from '../../events/types/unknown-keys-adopted.ts'
import type { CatalogWriter } from '../../log/catalog/change.ts'
import { EVERYTHING } from '../../read-model/queries/scope.ts'
import type { auth } from '../auth.ts'
import type { BodyReader } from '../body.ts'
import { type ReadOptions, reflect } from '../counters/consistent-read.ts'
import { jsonResponse } from '../json.ts'
import { DEFAULT_LIMIT, NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import * as details from './detail.ts'
import { UnknownKeysQuery } from './model.ts'
import { type KeysOutcome, putKeys } from './put.ts'

type Options = ReadOptions & {
  adoptions: Adoptions
  catalogWriter: CatalogWriter
  bodies: BodyReader
  /** Adds the keys of a large body to the catalog on another thread, which must be refreshed. */
  putLarge: (body: Uint8Array, source: string) => Promise<KeysOutcome>
  /** Called when shard 0 has grown up to `position`. */
  onAppended: (shard: number, position: number) => void
}

/** Serves GET /admin/unknown-keys and POST /admin/unknown-keys/adopt. */
export function unknownKeyRoutes(guard: ReturnType<typeof auth>, options: Options) {
  const { adoptions, catalogWriter, bodies, putLarge, admission, onAppended } = options
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
        const { name } = principal
        const put = (work: () => Promise<KeysOutcome>) => admission.admitChange(asking, work)
        const read = await bodies.read(request, name, async (bytes) => {
          const outcome = await put(() => putLarge(bytes, name))
          await catalogWriter.refresh()
          return outcome
        })
        const outcome =
          typeof read === 'string' ? await put(() => putKeys(catalogWriter, name, read)) : read
        if ('error' in outcome) throw new Problem(outcome.status, outcome.error, outcome.detail)
        if (outcome.position !== null) onAppended(0, outcome.position)
        const adopted = await admission.admitAct(asking, () => adoptions.adopt(outcome.keys, name))
        if (adopted !== null) onAppended(0, adopted.position)
        const newest = adopted?.position ?? outcome.position
        return jsonResponse(
          {
            position: adopted === null ? null : `0/${adopted.position}`,
            ...countAdopted(adopted?.adoption ?? {}),
          },
          newest === null ? {} : { 'tallybook-position': `0/${newest}` },
        )
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: details.adopt },
    )
}

function countAdopted({ api_keys, keys }: Pick<Adoption, 'api_keys' | 'keys'>) {
  let requests: Exact = 0
  for (const count of api_keys?.requests ?? []) requests = addExact(requests, count)
  for (const count of keys?.requests ?? []) requests = addExact(requests, count)
  return {
    api_keys: new Set(api_keys?.ids).size,
    keys: new Set(keys?.hashes).size,
    requests,
  }
}
