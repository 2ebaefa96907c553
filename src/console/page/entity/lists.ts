import { api } from '../api.ts'
import type { AsOf } from '../as-of.ts'
import { unwrapWithPosition } from '../shown.ts'
import type { Page } from '../use-list.ts'

/** What a list is narrowed to and sorted by, as the service's queries name it. */
export type ListQuery = AsOf & { sort?: string; search?: string; group_id?: string }

/** A page of a list. */
export type Request = { limit: string; cursor?: string }

export const loadGroups = (query: ListQuery) => (request: Request) =>
  unwrapWithPosition(api.admin['provider-groups'].get({ query: { ...query, ...request } }))

export const loadApiKeys = (query: ListQuery) => (request: Request) =>
  unwrapWithPosition(api.admin['api-keys'].get({ query: { ...query, ...request } }))

export const loadKeys = (query: ListQuery) => (request: Request) =>
  unwrapWithPosition(api.admin.keys.get({ query: { ...query, ...request } }))

/** A row of what one of these loads. */
export type ItemOf<
  Load extends (query: ListQuery) => (request: Request) => Promise<Page<unknown>>,
> = Awaited<ReturnType<ReturnType<Load>>>['items'][number]

/** All rows of a list, however many pages they are. */
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
