import { useRef, useState } from 'preact/hooks'
import { Failure } from './api.ts'
import { useRead } from './use-read.ts'

/** Rows per page, and the maximum that the service returns at once. */
const PAGE = 100
const MAX = 1_000

export type Page<Item> = { items: Item[]; next_cursor: string | null }

/** The rows of a list that were read so far, and how to read more. */
export type ListRead<Item> = {
  /** undefined: not read yet. */
  items: Item[] | undefined
  hasMore: boolean
  isLoading: boolean
  failure: Failure | null
  loadMore: () => void
  reload: () => Promise<void>
}

/**
 * Reads a list page by page, on demand. A list of up to a thousand rows is read again while the log
 * grows, with `always` even if it does not; a longer list stays as it was read.
 */
export function useList<Item>(
  key: string,
  loadPage: (request: { limit: string; cursor?: string }) => Promise<Page<Item>>,
  { isLive = true, always = false }: { isLive?: boolean; always?: boolean } = {},
): ListRead<Item> {
  const read = useRef<({ key: string } & Page<Item>) | null>(null)
  const loadingMore = useRef(false)
  const live = useRef(isLive)
  live.current = isLive
  const [moreFailure, setMoreFailure] = useState<Failure | null>(null)
  const [, render] = useState({})

  const first = useRead(
    key,
    async () => {
      const count = countOf(key)
      if (count > MAX) return
      const wasLive = live.current
      const page = await loadPage({ limit: String(Math.max(PAGE, count)) })
      // More rows were loaded during this read, which has too few.
      if (countOf(key) > Math.max(PAGE, count)) return
      // Visible rows must not move once the list is no longer live.
      if (wasLive && !live.current && countOf(key) > 0) return
      read.current = { key, ...page }
    },
    { keeps: true, everyMs: isLive ? 1_000 : null, always },
  )

  function countOf(listKey: string): number {
    return read.current?.key === listKey ? read.current.items.length : 0
  }

  const loadMore = async () => {
    const before = read.current
    if (before?.key !== key || before.next_cursor === null || loadingMore.current) return
    loadingMore.current = true
    try {
      const page = await loadPage({ limit: String(2 * PAGE), cursor: before.next_cursor })
      if (read.current === before) {
        read.current = { key, ...page, items: [...before.items, ...page.items] }
      }
      setMoreFailure(null)
    } catch (error) {
      setMoreFailure(Failure.from(error))
    }
    loadingMore.current = false
    render({})
  }

  return {
    items: read.current?.items,
    hasMore: read.current?.key === key && read.current.next_cursor !== null,
    isLoading: first.isLoading,
    failure: first.failure ?? moreFailure,
    loadMore: () => void loadMore(),
    reload: first.reload,
  }
}
