import { useMemo, useRef, useState } from 'preact/hooks'
import type { Exact } from '../../../events/exact.ts'
import { api, unwrap } from '../api.ts'
import { type AsOf, isPast, useAsOf } from '../as-of.ts'
import { zoneName } from '../format.ts'
import { Failed } from '../parts/states.tsx'
import { useParams } from '../parts/use-params.ts'
import { toTimestamp } from '../timestamp.ts'
import { useRead } from '../use-read.ts'
import { Chart, type Series } from './chart.tsx'
import {
  assignColours,
  COLOURS,
  type DividedItem,
  type Layer,
  labelOf,
  OTHER,
  toLayers,
} from './divide.ts'
import { Numbers } from './numbers.tsx'
import { boundsOf, toZoom } from './range.ts'
import { Readout } from './readout.tsx'
import { type Totals, Values } from './values.tsx'
import type { View } from './whole.tsx'

/** Read interval (ms): these reads cost more than those of the whole. */
const EVERY_MS = 5_000

/** Most buckets of a chart: the service answers at most 10,000 items, of COLOURS and two values. */
export const MAX_BUCKETS = 1_000

/** Number of values that are read for the table. */
const TABLE_VALUES = 100

/** What was read: usage by bucket and value, and by value. */
type Divided = { items: DividedItem[]; table: Totals }

type Props = View & { by: string }

/** Shows usage by the values of a dimension: a stacked chart, and a table. */
export function Breakdown({ by, ...view }: Props) {
  const { scope, name, range, shown } = view
  const asOf = useAsOf()
  const [, choose] = useParams()
  const [pointed, setPointed] = useState<number | null>(null)
  const { from, to, bucket } = range
  const query = { from, to, bucket, tz: zoneName(), ...scope, ...asOf }
  const { value, failure, reload } = useRead(
    JSON.stringify({ ...query, by, to: range.name === 'zoom' ? to : range.name, of: shown.id }),
    async () => ({ by, range, ...(await load(query, by, shown.id)) }),
    { everyMs: isPast(asOf) ? null : EVERY_MS, keeps: true },
  )
  // What was read before another dimension was chosen has other values.
  const read = value?.by === by ? value : undefined
  const colours = useRef<{ by: string; of: Map<string, number> }>({ by, of: new Map() })
  const chart = useMemo(() => {
    if (read === undefined) return undefined
    const bounds = boundsOf(read.range)
    const layers = toLayers(read.items, bounds.slice(0, -1), by, shown, COLOURS)
    const before = colours.current.by === by ? colours.current.of : new Map()
    colours.current = { by, of: assignColours(before, layers.flatMap(apart)) }
    const colourOf = (part: string | null) => toColour(part, colours.current.of)
    return { bounds, layers, colourOf, series: toSeries(layers, by, colourOf) }
  }, [read, by, shown.id, shown.unit])
  const lines = chart?.layers.map(({ value: part, total, values }) => ({
    title: labelOf(part, by),
    text: shown.unit.format(pointed === null ? total : (values[pointed] ?? 0)),
    swatch: chart.colourOf(part),
  }))
  const bounds = chart?.bounds.map(toTimestamp) ?? []
  if (failure && read === undefined) return <Failed failure={failure} onRetry={reload} />
  return (
    <>
      <Readout
        range={range}
        at={pointed === null ? null : (bounds[pointed] ?? null)}
        lines={lines}
        isTall
      />
      {failure && <Failed failure={failure} onRetry={reload} />}
      {chart ? (
        <Chart
          label={`${shown.title} of ${name} by ${by}, stacked; arrow keys move between bars`}
          bounds={chart.bounds}
          series={chart.series}
          unit={shown.unit}
          isStacked
          onPoint={setPointed}
          onZoom={(fromMs, toMs) => choose({ ...toZoom(fromMs, toMs), range: null, bucket: null })}
        />
      ) : (
        <div class="chart" aria-busy="true" />
      )}
      <Numbers
        file={`${shown.title} ${name} by ${by} ${from.slice(0, 10)}`}
        bounds={bounds}
        columns={(chart?.layers ?? []).map(({ value: part, values }) => ({
          ...{ id: labelOf(part, by), title: labelOf(part, by), unit: shown.unit, values },
        }))}
      />
      <Values
        {...{ ...view, by }}
        read={read?.table}
        colourOf={chart?.colourOf ?? (() => 'series-other')}
        load={() => loadTable(query, by, shown.id, MAX_SAVED)}
      />
    </>
  )
}

/** Number of values that are saved as CSV: the most that the service returns. */
const MAX_SAVED = 998

type Query = AsOf & View['scope'] & { from: string; to: string; bucket: 'hour' | 'day'; tz: string }

async function load(query: Query, by: string, largestBy: string): Promise<Divided> {
  const asked = { ...query, group_by: by, limit: `${COLOURS}`, largest_by: largestBy }
  const [chart, table] = await Promise.all([
    unwrap(api.admin.usage.get({ query: asked })),
    loadTable(query, by, largestBy, TABLE_VALUES),
  ])
  return { items: chart.value.items as unknown as DividedItem[], table }
}

async function loadTable(
  { bucket: _bucket, ...query }: Query,
  by: string,
  largestBy: string,
  values: number,
): Promise<Totals> {
  const asked = { ...query, by, limit: `${values}`, largest_by: largestBy }
  const { value } = await unwrap(api.admin.breakdown.get({ query: asked }))
  return value as Totals
}

const apart = ({ value }: Layer) => (value === null || value === OTHER ? [] : [value])

/** Names the colour of a value; one that the chart does not show apart is in OTHER. */
function toColour(value: string | null, colours: ReadonlyMap<string, number>): string {
  if (value === null) return 'series-none'
  const colour = colours.get(value)
  return colour === undefined ? 'series-other' : `series-${colour + 1}`
}

/** Stacks layers, the first at the bottom: each series is the sum of its layer and those below. */
function toSeries(
  layers: readonly Layer[],
  by: string,
  colourOf: (value: string | null) => string,
): Series[] {
  let below: number[] | undefined
  const toHeight = (count: Exact, bucket: number) => Number(count) + (below?.[bucket] ?? 0)
  return layers
    .map(({ value, values }) => {
      below = values.map(toHeight)
      return { label: labelOf(value, by), colour: colourOf(value), values: below }
    })
    .toReversed()
}
