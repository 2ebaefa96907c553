import { ZoomOut } from 'lucide-preact'
import { useMemo, useState } from 'preact/hooks'
import type { Exact } from '../../../events/exact.ts'
import { api, unwrap } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { formatCount, formatRate, formatTime, zoneName } from '../format.ts'
import { saveCsv } from '../parts/csv.ts'
import { Bone, Failed } from '../parts/states.tsx'
import { useParams } from '../parts/use-params.ts'
import { useRead } from '../use-read.ts'
import { Chart, type Series } from './chart.tsx'
import { RANGES, type Range, readRange, toZoom } from './range.ts'
import { useEnd } from './use-end.ts'

/** The row whose usage is shown; empty: all provider groups. */
export type Scope = { group_id?: string; api_key_id?: string; token_hash?: string }

/** Counts of a bucket, by their names in the API: of requests, or of a token key's use. */
type Counts = Record<string, Exact | string>

/** Titles of the counts. */
const TITLES: Record<string, string> = {
  total_requests: 'Requests',
  success_requests: 'Successes',
  failure_requests: 'Failures',
  request_count: 'Requests',
  used_tokens: 'Tokens',
  quota_used: 'Quota used',
}

type Props = { scope: Scope; name: string }

/** Shows usage over time: choose a range, point at a bar, drag to zoom, or read a table. */
export function Usage(props: Props) {
  const { end, failure } = useEnd(useAsOf())
  if (end !== undefined) return <UsageUntil {...props} end={end} />
  return (
    <section class="card usage" aria-label="Usage over time">
      {failure ? <Failed failure={failure} /> : <div class="chart" aria-busy="true" />}
    </section>
  )
}

function UsageUntil({ scope, name, end }: Props & { end: number }) {
  const asOf = useAsOf()
  const [params, choose] = useParams()
  const [pointed, setPointed] = useState<number | null>(null)
  const range = readRange(params, end)
  const { from, to, bucket } = range
  const query = { from, to, bucket, tz: zoneName(), ...scope, ...asOf }
  const { value, failure, reload } = useRead(
    JSON.stringify({ ...query, to: range.name === 'zoom' ? to : range.name }),
    async () => (await unwrap(api.admin.usage.get({ query }))).value,
    { everyMs: isPast(asOf) ? null : 3_000, keeps: true },
  )
  const isTokens = scope.token_hash !== undefined
  const items = value?.items as (Counts & { from: string; to: string })[] | undefined
  const shown = useMemo(() => items && toChart(items, isTokens), [items, isTokens])
  const counts = pointed === null ? value?.total : items?.[pointed]

  return (
    <section class="card usage" aria-label="Usage over time">
      <header>
        <h2>{isTokens ? 'Tokens over time' : 'Requests over time'}</h2>
        <Choices range={range} onChoose={choose} />
      </header>
      <Readout
        when={
          pointed === null || !items?.[pointed]
            ? `${formatTime(from, 'short')} – ${formatTime(to, 'short')}`
            : formatTime(items[pointed].from, bucket === 'day' ? 'day' : 'short')
        }
        counts={counts as Counts | undefined}
      />
      {failure && <Failed failure={failure} onRetry={reload} />}
      {shown ? (
        <Chart
          label={`${isTokens ? 'Tokens' : 'Requests'} of ${name}; arrow keys move between bars`}
          {...shown}
          onPoint={setPointed}
          onZoom={(fromMs, toMs) => choose({ ...toZoom(fromMs, toMs), range: null, bucket: null })}
        />
      ) : (
        <div class="chart" aria-busy="true" />
      )}
      <Numbers items={items ?? []} range={range} name={name} />
    </section>
  )
}

type ChoicesProps = { range: Range; onChoose: (changes: Record<string, string | null>) => void }

function Choices({ range, onChoose }: ChoicesProps) {
  return (
    <div class="choices">
      {range.name === 'zoom' && (
        <button type="button" class="small" onClick={() => onChoose({ from: null, to: null })}>
          <ZoomOut aria-hidden size={14} /> Zoom out
        </button>
      )}
      <fieldset class="segments">
        <legend class="unseen">Range</legend>
        {Object.keys(RANGES).map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={range.name === name}
            onClick={() => onChoose({ range: name, from: null, to: null, bucket: null })}
          >
            {name}
          </button>
        ))}
      </fieldset>
      <fieldset class="segments">
        <legend class="unseen">Bars</legend>
        {(['hour', 'day'] as const).map((bucket) => (
          <button
            key={bucket}
            type="button"
            aria-pressed={range.bucket === bucket}
            onClick={() => onChoose({ bucket })}
          >
            {bucket}
          </button>
        ))}
      </fieldset>
    </div>
  )
}

/** Shows the counts of the bar under the pointer, or the totals. */
function Readout({ when, counts }: { when: string; counts: Counts | undefined }) {
  return (
    <p class="readout" aria-live="polite">
      <span class="when">{when}</span>
      {counts === undefined ? (
        <Bone width="24ch" />
      ) : (
        titled(counts).map(([name, title]) => (
          <span key={name} class={`count ${toneOf(name, counts)}`}>
            {title} <b>{formatCount(counts[name] as Exact)}</b>
          </span>
        ))
      )}
      {counts && 'success_rate' in counts && counts.total_requests !== 0 && (
        <span class="count">
          Success rate <b>{formatRate(Number(counts.success_rate))}</b>
        </span>
      )}
    </p>
  )
}

/** Returns the colour of a count's bars in the chart; 0 failures are not coloured. */
function toneOf(name: string, counts: Counts): string {
  if (name === 'total_requests' || name === 'used_tokens') return 'calm'
  if (name !== 'failure_requests') return ''
  return counts[name] === 0 ? 'failures' : 'failures bad'
}

type NumbersProps = { items: Counts[]; range: Range; name: string }

/** Shows the same counts as a table, for users who cannot see the bars, and saves them as CSV. */
function Numbers({ items, range, name }: NumbersProps) {
  const [isOpen, setOpen] = useState(false)
  const columns = titled(items[0] ?? {})
  const save = () => {
    const names = ['from', 'to', ...columns.map(([column]) => column)]
    const rows = items.map((item) => names.map((column) => item[column] ?? null))
    saveCsv(`usage ${name} ${range.from.slice(0, 10)}`, [names, ...rows])
  }
  return (
    <details onToggle={(event) => setOpen((event.currentTarget as HTMLDetailsElement).open)}>
      <summary>Numbers</summary>
      {isOpen && (
        <>
          <button type="button" class="small" onClick={save}>
            Save as CSV
          </button>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
          <section class="scroll" tabIndex={0} aria-label="Usage in numbers">
            <table>
              <thead>
                <tr>
                  <th scope="col">From</th>
                  {columns.map(([column, title]) => (
                    <th key={column} scope="col" class="end">
                      {title}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {items.toReversed().map((item) => (
                  <tr key={item.from as string}>
                    <td>{formatTime(item.from as string, 'minute')}</td>
                    {columns.map(([column]) => (
                      <td key={column} class="end">
                        {formatCount(item[column] as Exact)}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        </>
      )}
    </details>
  )
}

const titled = (counts: Counts) => Object.entries(TITLES).filter(([name]) => name in counts)

function toChart(items: (Counts & { from: string; to: string })[], isTokens: boolean) {
  const valuesOf = (name: string) => items.map((item) => Number(item[name]))
  const series: Series[] = isTokens
    ? [{ label: 'Tokens', tone: 'calm', values: valuesOf('used_tokens') }]
    : [
        { label: 'Requests', tone: 'calm', values: valuesOf('total_requests') },
        { label: 'Failures', tone: 'bad', values: valuesOf('failure_requests') },
      ]
  const bounds = [...items.map(({ from }) => Date.parse(from)), Date.parse(items.at(-1)!.to)]
  return { bounds, series }
}
