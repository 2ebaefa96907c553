import { useMemo, useState } from 'preact/hooks'
import { api, unwrap } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { useChosenMeasures } from '../declared/columns.tsx'
import { formatRate, zoneName } from '../format.ts'
import { Failed } from '../parts/states.tsx'
import { useParams } from '../parts/use-params.ts'
import { useRead } from '../use-read.ts'
import { Chart, type Series } from './chart.tsx'
import { type Counts, REQUESTS, type Shown, shownMeasure } from './counts.ts'
import { Numbers } from './numbers.tsx'
import { type Range, toZoom } from './range.ts'
import { type Line, Readout } from './readout.tsx'
import type { Scope } from './usage.tsx'

export type View = {
  scope: Scope
  /** The name of the row for people. */
  name: string
  range: Range
  shown: Shown
  /** The counts that are not measures. */
  counts: readonly Shown[]
}

type Rated = Counts & { success_rate?: number }
type Item = Rated & { from: string; to: string }

/** Shows usage that is not divided: point at a bar, drag to zoom, or read a table. */
export function Whole({ scope, name, range, shown, counts }: View) {
  const asOf = useAsOf()
  const [, choose] = useParams()
  const [pointed, setPointed] = useState<number | null>(null)
  const { from, to, bucket } = range
  const query = { from, to, bucket, tz: zoneName(), ...scope, ...asOf }
  const { value, failure, reload } = useRead(
    JSON.stringify({ ...query, to: range.name === 'zoom' ? to : range.name }),
    async () => (await unwrap(api.admin.usage.get({ query }))).value,
    { everyMs: isPast(asOf) ? null : 3_000, keeps: true },
  )
  const measures = useChosenMeasures().map((one) => shownMeasure(one.name, one.unit ?? null))
  const read = [...counts, ...measures]
  const all = read.some(({ id }) => id === shown.id) ? read : [...read, shown]
  const items = value?.items as Item[] | undefined
  const chart = useMemo(() => items && toChart(items, shown), [items, shown.id, shown.unit])
  const item = pointed === null ? undefined : items?.[pointed]
  const total = value?.total as Rated | undefined
  return (
    <>
      <Readout range={range} at={item?.from ?? null} lines={toLines(item ?? total, all, shown)} />
      {failure && <Failed failure={failure} onRetry={reload} />}
      {chart ? (
        <Chart
          label={`${shown.title} of ${name}; arrow keys move between bars`}
          {...chart}
          unit={shown.unit}
          onPoint={setPointed}
          onZoom={(fromMs, toMs) => choose({ ...toZoom(fromMs, toMs), range: null, bucket: null })}
        />
      ) : (
        <div class="chart" aria-busy="true" />
      )}
      <Numbers
        file={`usage ${name} ${from.slice(0, 10)}`}
        bounds={items ? [...items.map((one) => one.from), items.at(-1)!.to] : []}
        columns={all.map((one) => ({ ...one, values: items?.map(one.read) ?? [] }))}
      />
    </>
  )
}

const [ALL, , FAILURES] = REQUESTS as [Shown, Shown, Shown]

function toChart(items: Item[], shown: Shown) {
  const toSeries = ({ title, read }: Shown, colour: string): Series => ({
    ...{ label: title, colour, values: items.map((item) => Number(read(item))) },
  })
  const series = [toSeries(shown, 'chart')]
  if (shown.id === ALL.id) series.push(toSeries(FAILURES, 'chart-bad'))
  const bounds = [...items.map(({ from }) => Date.parse(from)), Date.parse(items.at(-1)!.to)]
  return { bounds, series }
}

/** Returns what the readout says; 0 failures are not coloured. */
function toLines(counts: Rated | undefined, all: Shown[], shown: Shown): Line[] | undefined {
  if (counts === undefined) return undefined
  const lines = all.map(({ id, title, unit, read }): Line => {
    const isFailures = id === FAILURES.id && shown.id === ALL.id
    const swatch = id === shown.id ? 'chart' : isFailures ? 'chart-bad' : undefined
    return {
      title,
      text: unit.format(read(counts)),
      swatch,
      isBad: isFailures && read(counts) !== 0,
    }
  })
  const { total_requests: requests = 0, success_rate: rate } = counts
  if (requests === 0 || rate === undefined) return lines
  return [...lines, { title: 'Success rate', text: formatRate(rate) }]
}
