import type { ComponentChildren } from 'preact'
import { formatCount } from '../format.ts'
import { Search } from './search.tsx'

type Props = {
  title: string
  search: string
  /** Number of rows loaded, and whether there are more. */
  count: number | undefined
  hasMore: boolean
  children?: ComponentChildren
}

/** The header of a list: its title, row count, search and actions. */
export function ListHead({ title, search, count, hasMore, children }: Props) {
  return (
    <header>
      <h2>
        {title}{' '}
        {count !== undefined && (
          <small class="muted">
            {formatCount(count)}
            {hasMore && '+'}
          </small>
        )}
      </h2>
      <div class="choices">
        <Search label={search} />
        {children}
      </div>
    </header>
  )
}
