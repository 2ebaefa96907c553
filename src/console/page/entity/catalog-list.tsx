import { type LucideIcon, Plus } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { type AsOf, isPast, useAsOf } from '../as-of.ts'
import { ChooseColumns, toColumns, useChosenMeasures } from '../declared/columns.tsx'
import { ListHead } from '../parts/list-head.tsx'
import { SaveList, toLines } from '../parts/save-list.tsx'
import { Empty, Failed } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { useParams } from '../parts/use-params.ts'
import { isAdmin } from '../session.ts'
import { type Page, useList } from '../use-list.ts'
import { type ListQuery, loadAll, type Request } from './lists.ts'

/** A sort order with its own button. */
export type Shortcut = { title: string; sort: string; Icon: LucideIcon }

type Props<Item> = {
  title: string
  /** The name of its rows, singular and plural. */
  one: string
  many: string
  columns: Column<Item>[]
  keyOf: (item: Item) => string | number
  /** The sort order if the URL names none. */
  sort: string
  narrow?: Omit<ListQuery, keyof AsOf | 'sort' | 'search'>
  load: (query: ListQuery) => (request: Request) => Promise<Page<Item>>
  shortcut?: Shortcut
  /** The dialog that adds a row. */
  add: (close: () => void, done: () => Promise<void>) => ComponentChildren
}

/** Lists rows of the catalog, any number of them: search, sort, save as CSV, and add. */
export function CatalogList<Item extends object>(props: Props<Item>) {
  const { title, one, many, columns, keyOf, narrow, load, shortcut, add } = props
  const asOf = useAsOf()
  const [params, change] = useParams()
  const [isAdding, setAdding] = useState(false)
  const sort = params.get('sort') ?? props.sort
  const search = params.get('q')
  const query = { ...asOf, ...narrow, sort, ...(search ? { search } : {}) }
  const loadPage = load(query)
  const list = useList(`${many} ${JSON.stringify(query)}`, loadPage, { isLive: !isPast(asOf) })
  const canAdd = isAdmin() && !isPast(asOf)
  const measures = toColumns(useChosenMeasures())
  // They follow the counts, which the service can sort by.
  const place = columns.findLastIndex((column) => column.sort !== undefined) + 1
  const isShortcut = sort === shortcut?.sort
  return (
    <section class="card" aria-label={title}>
      <ListHead
        title={title}
        search={`Find a ${one}`}
        count={list.items?.length}
        hasMore={list.hasMore}
      >
        {shortcut && (
          <button
            type="button"
            class="small"
            aria-pressed={isShortcut}
            onClick={() => change({ sort: isShortcut ? null : shortcut.sort })}
          >
            <shortcut.Icon aria-hidden size={14} /> {shortcut.title}
          </button>
        )}
        <SaveList name={many} load={async () => toLines(await loadAll(loadPage))} />
        <ChooseColumns />
        {canAdd && (
          <button type="button" class="small" onClick={() => setAdding(true)}>
            <Plus aria-hidden size={14} /> Add
          </button>
        )}
      </ListHead>
      {list.failure && <Failed failure={list.failure} onRetry={list.reload} />}
      {list.items?.length === 0 ? (
        <Empty title={search ? `No ${one} matches this search.` : `No ${one} yet.`}>
          {!search && canAdd && 'Create the first one with Add, or with PUT /admin/catalog.'}
        </Empty>
      ) : (
        <Table
          caption={`${many} with their counters`}
          columns={columns.toSpliced(place, 0, ...measures)}
          isWide={measures.length > 0}
          items={list.items}
          keyOf={keyOf}
          sorting={{ by: sort, onChange: (by) => change({ sort: by }) }}
          isLoading={list.isLoading}
          onEnd={list.loadMore}
        />
      )}
      {isAdding && add(() => setAdding(false), list.reload)}
    </section>
  )
}
