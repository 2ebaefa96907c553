import { api } from '../api.ts'
import type { AsOf } from '../as-of.ts'
import { unwrapWithPosition } from '../page-position.ts'
import type { Page } from '../use-list.ts'

/** The filters and the sort order of a list, as query parameters of the service. */
export type ListQuery = AsOf & { sort?: string; search?: string; group_id?: string }

/** The page of a list to load. */
export type Request = { limit: string; cursor?: string }

// Each loads a page of its list; the position that it reflects becomes that of the page.

export const loadGroups = (query: ListQuery) => (request: Request) =>
  unwrapWithPosition(api.admin['provider-groups'].get({ query: { ...query, ...request } }))

export const loadApiKeys = (query: ListQuery) => (request: Request) =>
  unwrapWithPosition(api.admin['api-keys'].get({ query: { ...query, ...request } }))

export const loadKeys = (query: ListQuery) => (request: Request) =>
  unwrapWithPosition(api.admin.keys.get({ query: { ...query, ...request } }))

/** The row type of one of these lists. */
export type ItemOf<
  Load extends (query: ListQuery) => (request: Request) => Promise<Page<unknown>>,
> = Awaited<ReturnType<ReturnType<Load>>>['items'][number]

/** Loads all rows of a list, page by page. */
export async function loadAll<Item>(
  loadPage: (request: Request) => Promise<Page<Item>>,
): Promise<Item[]> {
  const items: Item[] = []
  let cursor: string | null = null
  do {
    const page: Page<Item> = await loadPage({
      limit: '1000',
      ...(cursor === null ? {} : { cursor }),
    })
    items.push(...page.items)
    cursor = page.next_cursor
  } while (cursor !== null)
  return items
}
