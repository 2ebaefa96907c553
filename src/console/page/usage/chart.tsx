import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { formatTime, zoneName } from '../format.ts'
import { theme, zone } from '../settings.ts'
import type { Unit } from '../unit.ts'

/** One value per bucket, and the colour of its bars, as style/base.css names it. */
export type Series = { label: string; colour: string; values: number[] }

type Props = {
  label: string
  /** Start of each bucket, and end of the last one, in ms. */
  bounds: number[]
  /** Drawn from 0, each in front of those before it. */
  series: Series[]
  unit: Unit
  /** True if a series is the sum of those after it and its own layer, whose edges are shown. */
  isStacked?: boolean
  /** Receives the bucket under the pointer; null: none. */
  onPoint: (bucket: number | null) => void
  onZoom: (fromMs: number, toMs: number) => void
}

const HEIGHT = 240
/** Number of bars from which edges would cover them. */
const MAX_EDGED = 120

/** Draws bars over time. Dragging over bars zooms; the arrow keys move from bar to bar. */
export function Chart(props: Props) {
  const { label, bounds, series, unit, isStacked = false, onPoint, onZoom } = props
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const callbacks = useRef({ onPoint, onZoom })
  callbacks.current = { onPoint, onZoom }
  const [at, setAt] = useState<number | null>(null)
  const starts = bounds.slice(0, -1)
  const data: uPlot.AlignedData = [
    starts.map((ms) => ms / 1_000),
    ...series.map(({ values }) => values),
  ]
  const colours = series.map(({ colour }) => colour).join()
  const isEdged = isStacked && starts.length <= MAX_EDGED
  const look = { unit, isStacked, isEdged }
  const bucketMs = bounds.length > 1 ? bounds[1]! - bounds[0]! : 1

  useEffect(() => {
    const element = place.current!
    const drawn = new uPlot(
      toOptions(element, series, look, {
        onPoint: (bucket) => callbacks.current.onPoint(bucket),
        onZoom: (from, to) => callbacks.current.onZoom(from, to),
      }),
      data,
      element,
    )
    plot.current = drawn
    const observer = new ResizeObserver(() =>
      drawn.setSize({ width: element.clientWidth, height: HEIGHT }),
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      drawn.destroy()
      plot.current = null
    }
    // A chart reads the colours and the zone when it is created.
  }, [colours, unit, isStacked, isEdged, theme.value, zone.value])

  useEffect(() => {
    const drawn = plot.current
    if (!drawn) return
    drawn.setData(data, false)
    drawn.setScale('x', { min: bounds[0]! / 1_000, max: bounds.at(-1)! / 1_000 })
  }, [bounds, series])

  const move = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const next = Math.min(Math.max((at ?? starts.length) + step, 0), starts.length - 1)
    setAt(next)
    onPoint(next)
    const left = plot.current?.valToPos((starts[next]! + bucketMs / 2) / 1_000, 'x') ?? 0
    plot.current?.setCursor({ left, top: 0 }, false)
  }
  const isEmpty = series.every(({ values }) => values.every((value) => value === 0))
  return (
    <div class="plot">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys read its bars */}
      <div class="chart" ref={place} role="img" aria-label={label} tabIndex={0} onKeyDown={move} />
      {isEmpty && <p class="nothing">No usage in this period.</p>}
    </div>
  )
}

type Look = { unit: Unit; isStacked: boolean; isEdged: boolean }
type Callbacks = { onPoint: (bucket: number | null) => void; onZoom: Props['onZoom'] }

function toOptions(
  element: HTMLElement,
  series: Series[],
  { unit, isStacked, isEdged }: Look,
  callbacks: Callbacks,
): uPlot.Options {
  const style = getComputedStyle(element)
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim()
  const bars = uPlot.paths.bars!({ size: [0.82, 40], align: 1, radius: isStacked ? 0 : 0.08 })
  const axis = {
    stroke: colour('muted'),
    font: `12px ${style.fontFamily}`,
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [12, 28, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false },
    },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), zoneName()),
    scales: { y: { range: (_, _min, max) => [0, Math.max(max * 1.08, 4)] } },
    axes: [
      {
        ...axis,
        ...{ grid: { show: false }, space: 72, size: 34, gap: 10 },
        values: (u, splits) => {
          const isDays = (u.scales.x!.max ?? 0) - (u.scales.x!.min ?? 0) > 2 * 86_400
          return splits.map((at) =>
            formatTime(at * 1_000, isDays || isMidnight(at * 1_000) ? 'month' : 'clock'),
          )
        },
      },
      {
        ...axis,
        // As wide as its longest label.
        size: (_, texts) => 10 + 7 * Math.max(...(texts ?? ['']).map(({ length }) => length)),
        values: (_, splits) => splits.map(unit.formatShort),
      },
    ],
    series: [
      {},
      ...series.map((one) => ({
        label: one.label,
        fill: colour(one.colour),
        ...(isEdged ? { stroke: colour('card'), width: 1 } : { width: 0 }),
        paths: bars,
        points: { show: false },
      })),
    ],
    hooks: {
      setCursor: [(u) => callbacks.onPoint(pointed(u))],
      setSelect: [
        (u) => {
          const { left, width } = u.select
          if (width < 4) return
          callbacks.onZoom(u.posToVal(left, 'x') * 1_000, u.posToVal(left + width, 'x') * 1_000)
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
    },
  }
}

/** True if a day begins at this time in the user's zone. */
function isMidnight(at: number): boolean {
  const date = new Date(at)
  return zone.value === 'utc'
    ? date.getUTCHours() + date.getUTCMinutes() === 0
    : date.getHours() + date.getMinutes() === 0
}

/** Returns the bucket under the cursor (the last one that begins before it), or null. */
function pointed(u: uPlot): number | null {
  const left = u.cursor.left ?? -1
  if (left < 0) return null
  const at = u.posToVal(left, 'x')
  const starts = u.data[0]
  let bucket = starts.length - 1
  while (bucket > 0 && starts[bucket]! > at) bucket--
  return bucket
}
