import {
  observeWindowOffset,
  observeWindowRect,
  Virtualizer,
  type VirtualizerOptions,
  windowScroll,
} from '@tanstack/virtual-core'
import type { RefObject } from 'preact'
import { useLayoutEffect, useState } from 'preact/hooks'

/** Rows drawn beyond both ends of the window. */
const OVERSCAN = 12

/** Returns which rows of a long table to draw as the window scrolls, and the space around them. */
export function useRows(table: RefObject<HTMLTableElement>, count: number, rowPx: number) {
  const [, render] = useState({})
  const [top, setTop] = useState(0)
  const options: VirtualizerOptions<Window, HTMLElement> = {
    count,
    estimateSize: () => rowPx,
    overscan: OVERSCAN,
    scrollMargin: top,
    getScrollElement: () => window,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    initialOffset: () => window.scrollY,
    initialRect: { width: window.innerWidth, height: window.innerHeight },
    onChange: () => render({}),
  }
  const [rows] = useState(() => new Virtualizer(options))
  rows.setOptions(options)
  useLayoutEffect(() => rows._didMount(), [rows])
  useLayoutEffect(() => {
    rows._willUpdate()
    const now = table.current
      ? Math.round(table.current.getBoundingClientRect().top + window.scrollY)
      : 0
    if (now !== top) setTop(now)
  })
  const drawn = rows.getVirtualItems()
  const first = drawn[0]?.index ?? 0
  const end = (drawn.at(-1)?.index ?? -1) + 1
  return { first, end, abovePx: first * rowPx, belowPx: Math.max(0, count - end) * rowPx }
}
