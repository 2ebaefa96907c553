import type { PageRequest } from '../../read-model/queries/keyset-page.ts'
import { DEFAULT_LIMIT } from '../params.ts'

/** The query of a list, as its schema has checked it. */
export type ListQuery = {
  limit?: string
  cursor?: string
  sort?: string
  ended?: 'true'
  search?: string
}

/** Returns the page that a query asks for; without a sort order, by `id`. */
export const toPageRequest = (query: ListQuery, id: string): PageRequest => ({
  limit: Number(query.limit ?? DEFAULT_LIMIT),
  sort: query.sort ?? id,
  cursor: query.cursor ?? null,
  ended: query.ended === 'true',
  search: query.search ?? null,
})
