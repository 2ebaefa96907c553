import { Elysia } from 'elysia'
import type { CatalogWriter } from '../../log/catalog/change.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import { readNewestCrossings, readRuleEvents } from '../../rules/crossings.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import { jsonResponse } from '../json.ts'
import { NoQuery } from '../params.ts'
import * as details from './detail.ts'

/** Crossings of a rule that are listed. */
const MAX_LISTED = 100

type Options = { pools: Pools; admission: Admission; catalogWriter: CatalogWriter }

/** Serves GET /admin/rules: the rules of the catalog, and what has crossed them. */
export function ruleRoutes(
  guard: ReturnType<typeof auth>,
  { pools, admission, catalogWriter }: Options,
) {
  return new Elysia({ name: 'rules' }).use(guard).get(
    '/admin/rules',
    (context) =>
      admission.admitRead(context, async () => {
        await catalogWriter.refresh()
        const crossings = await readNewestCrossings(pools.read, MAX_LISTED)
        const rules = [...catalogWriter.catalog.rules.values()]
        const listed = rules.flatMap(({ name }) => crossings.get(name)?.newest ?? [])
        const positions = listed.map(({ position }) => position)
        const events = await readRuleEvents(pools.read, positions)
        const items = rules.map((rule) => {
          const { crossed = 0, newest = [] } = crossings.get(rule.name) ?? {}
          const shown = newest.map(({ subject, position }) => {
            const { value, at } = events.get(position)!.data
            return { subject, value, since: at, position: `0/${position}` }
          })
          return { ...rule, crossed, crossings: shown }
        })
        return jsonResponse({ items: items.sort((a, b) => (a.name < b.name ? -1 : 1)) })
      }),
    { roles: ['admin', 'auditor'], query: NoQuery, detail: details.list },
  )
}
