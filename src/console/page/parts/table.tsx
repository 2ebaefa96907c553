import { ArrowDown, ArrowUp } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { Bone } from './states.tsx'
import { useRows } from './use-rows.ts'

/** Height of a row, as in style/tables.css. */
const ROW_PX = 44
/** Rows before the end at which more are loaded. */
const AHEAD = 40

export type Column<Item> = {
  title: string
  show: (item: Item) => ComponentChildren
  /** The name by which the service sorts this column. */
  sort?: string
  /** Numbers are aligned at the end. */
  align?: 'end'
  /** 1 is always shown; a small screen hides 3, and a phone also 2. */
  rank?: 1 | 2 | 3
  /** Width in characters, and on a phone; columns without a width share the rest. */
  chars?: number
  phoneChars?: number
  /** A long text wraps to two lines on a phone. */
  wraps?: boolean
}

export type Sorting = { by: string; onChange: (by: string) => void }

type Props<Item> = {
  caption: string
  columns: Column<Item>[]
  /** undefined or empty: not loaded yet. */
  items: Item[] | undefined
  keyOf: (item: Item) => string | number
  sorting?: Sorting
  isLoading?: boolean
  /** True if it may be wider than the screen: it then scrolls by itself. */
  isWide?: boolean
  onEnd?: () => void
}

/** A table of any length: only the rows near the window are in the document. */
export function Table<Item>(props: Props<Item>) {
  const { caption, columns, items, keyOf, sorting, isLoading = false, isWide, onEnd } = props
  const table = useRef<HTMLTableElement>(null)
  const count = items?.length ?? 0
  const { first, end, abovePx, belowPx } = useRows(table, count, ROW_PX)
  // An empty page need not be the last one.
  const isNearEnd = items !== undefined && end > count - AHEAD
  useEffect(() => {
    if (isNearEnd) onEnd?.()
  }, [isNearEnd, count, onEnd])

  return (
    <div
      class={isWide ? 'table wide' : 'table'}
      style={isWide ? widthsOf(columns) : {}}
      {...(isWide && { role: 'group', 'aria-label': caption, tabIndex: 0 })}
      aria-busy={isLoading}
    >
      <table ref={table} aria-rowcount={count + 1}>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Heading key={column.title} column={column} sorting={sorting} />
            ))}
          </tr>
        </thead>
        <tbody>
          {abovePx > 0 && <Space px={abovePx} />}
          {items === undefined || count === 0
            ? bones(columns)
            : items.slice(first, end).map((item, i) => (
                <tr key={keyOf(item)} aria-rowindex={first + i + 2}>
                  {columns.map((column) => (
                    <td key={column.title} class={classOf(column)}>
                      {column.show(item)}
                    </td>
                  ))}
                </tr>
              ))}
          {belowPx > 0 && <Space px={belowPx} />}
        </tbody>
      </table>
    </div>
  )
}

type HeadingProps<Item> = { column: Column<Item>; sorting: Sorting | undefined }

function Heading<Item>({ column, sorting }: HeadingProps<Item>) {
  const { title, sort, align } = column
  const isSortable = sorting !== undefined && sort !== undefined
  if (!isSortable) {
    return (
      <th scope="col" class={classOf(column)} style={widthOf(column)}>
        {title}
      </th>
    )
  }
  const isUp = sorting.by === sort
  const isDown = sorting.by === `-${sort}`
  // The first click sorts numbers in descending order, and text in ascending order.
  const next = align === 'end' ? (isDown ? sort : `-${sort}`) : isUp ? `-${sort}` : sort
  return (
    <th
      scope="col"
      class={classOf(column)}
      style={widthOf(column)}
      aria-sort={isUp ? 'ascending' : isDown ? 'descending' : undefined}
    >
      <button type="button" onClick={() => sorting.onChange(next)}>
        {title}
        {isUp && <ArrowUp aria-hidden size={14} />}
        {isDown && <ArrowDown aria-hidden size={14} />}
      </button>
    </th>
  )
}

/** Fills the height of rows that are not drawn. One cell, as their number depends on the screen. */
const Space = ({ px }: { px: number }) => (
  <tr aria-hidden class="space">
    <td style={{ height: `${px}px` }} />
  </tr>
)

/** Rows while nothing is loaded. Their keys are no item's, or they would move to its place. */
const bones = (columns: Column<never>[]) =>
  [0, 1, 2, 3, 4].map((row) => (
    <tr key={`bone ${row}`} aria-hidden>
      {columns.map((column, i) => (
        <td key={column.title} class={classOf(column)}>
          <Bone width={i === 0 ? '14ch' : '6ch'} />
        </td>
      ))}
    </tr>
  ))

const classOf = ({ align, rank = 1, wraps }: Pick<Column<never>, 'align' | 'rank' | 'wraps'>) =>
  `${align === 'end' ? 'end ' : ''}${wraps ? 'wraps ' : ''}rank-${rank}`

/** Widths of a column that states none, in a table that may be wider than the screen. */
const DEFAULT_CHARS = 18
const DEFAULT_PHONE_CHARS = 16

/** The widths of all columns together, and of those that a phone shows. */
function widthsOf(columns: Pick<Column<never>, 'chars' | 'phoneChars' | 'rank'>[]) {
  const onPhone = columns.filter(({ rank = 1 }) => rank === 1)
  const all = columns.reduce((sum, { chars = DEFAULT_CHARS }) => sum + chars, 0)
  const phone = onPhone.reduce((sum, { phoneChars = DEFAULT_PHONE_CHARS }) => sum + phoneChars, 0)
  return { '--all-chars': `${all}ch`, '--all-phone-chars': `${phone}ch` }
}

const widthOf = ({ chars, phoneChars }: Pick<Column<never>, 'chars' | 'phoneChars'>) => ({
  ...(chars === undefined ? {} : { '--chars': `${chars}ch` }),
  ...(phoneChars === undefined ? {} : { '--phone-chars': `${phoneChars}ch` }),
})
