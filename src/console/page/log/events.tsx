import { Pause, Play } from 'lucide-preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { api, unwrap } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { formatTime, zoneName } from '../format.ts'
import { Empty, Failed } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Title } from '../parts/title.tsx'
import { To } from '../parts/to.tsx'
import { useParams } from '../parts/use-params.ts'
import { zone } from '../settings.ts'
import { readTimestamp } from '../timestamp.ts'
import { useList } from '../use-list.ts'
import { describeEvent, TYPES } from './describe.ts'
import { ToNewest, useIsPast } from './newest.tsx'

/** The filters of the list, each a query parameter of the page. */
const FILTERS = ['type', 'source', 'shard', 'since', 'until'] as const

type Event = {
  shard: number
  position: number
  type: string
  recorded_at: string
  source: string
  payload: unknown
}

const COLUMNS: Column<Event>[] = [
  {
    title: 'Event',
    ...{ chars: 12, phoneChars: 9 },
    show: ({ shard, position }) => (
      <To href={`/events/${shard}/${position}`}>{`${shard}/${position}`}</To>
    ),
  },
  {
    title: 'When',
    ...{ chars: 20, phoneChars: 12 },
    show: ({ recorded_at }) => (
      <>
        <span class="not-phone">{formatTime(recorded_at, 'moment')}</span>
        <span class="phone">{formatTime(recorded_at, 'seconds')}</span>
      </>
    ),
  },
  { title: 'Type', chars: 24, rank: 2, show: ({ type }) => type },
  { title: 'Source', rank: 3, show: ({ source }) => source },
  {
    title: 'Content',
    wraps: true,
    show: (event) => <span class="muted">{describeEvent(event.type, event.payload)}</span>,
  },
]

/** Lists the events of the log, newest first; live, or those that a search finds. */
export function Events() {
  const asOf = useAsOf()
  const [params] = useParams()
  const [isPaused, setPaused] = useState(false)
  const query = {
    ...toQuery(params),
    ...(asOf.as_of === undefined ? {} : { to: asOf.as_of }),
  }
  const reading = useIsPast()
  const isFollowing = !isPaused && !isPast(asOf) && query.to === undefined
  const isLive = isFollowing && !reading.isPast
  const list = useList<Event>(
    `events ${JSON.stringify({ ...query, ...asOf })}`,
    async ({ limit, cursor }) => {
      let end = cursor ?? (asOf.as_of_position && toNext(asOf.as_of_position))
      for (;;) {
        const before = end === undefined ? {} : { before: end }
        const wanted = { order: 'desc' as const, shard: 'all', ...query, ...before, limit }
        const { value } = await unwrap(api.audit.events.get({ query: wanted }))
        const next_cursor = value.next_before ?? null
        if (value.items.length > 0 || next_cursor === null) {
          return { items: value.items as Event[], next_cursor }
        }
        // The filter matches nothing in this part of the log: read on.
        end = next_cursor
      }
    },
    { isLive },
  )
  return (
    <>
      <Title>Log</Title>
      <section class="card" aria-label="Events">
        <header>
          <h2>Events, newest first</h2>
          <button
            type="button"
            class="small"
            aria-pressed={isPaused}
            onClick={() => setPaused(!isPaused)}
          >
            {isPaused ? <Play aria-hidden size={14} /> : <Pause aria-hidden size={14} />}
            {isPaused ? 'Resume' : 'Pause'}
          </button>
        </header>
        <Filters />
        <div ref={reading.mark} />
        {isFollowing && reading.isPast && <ToNewest />}
        {list.failure && <Failed failure={list.failure} onRetry={list.reload} />}
        {list.items?.length === 0 && !list.hasMore ? (
          <Empty title="No matching events.">
            Every flush and every change of the catalog is listed here.
          </Empty>
        ) : (
          <Table
            caption="Events"
            columns={COLUMNS}
            items={list.items}
            keyOf={({ shard, position }) => `${shard}/${position}`}
            isLoading={list.isLoading}
            onEnd={list.loadMore}
          />
        )}
      </section>
    </>
  )
}

/** Returns the next positions: `0/42,1/8` for `0/41,1/7`. The service rejects any other text. */
const toNext = (positions: string) =>
  positions.replace(/\/(-?\d+)/g, (_, position: string) => `/${Number(position) + 1}`)

function Filters() {
  const [params, change] = useParams()
  const zoneText = zone.value === 'utc' ? 'UTC' : zoneName()
  const isNarrowed = FILTERS.some((name) => params.has(name))
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()} aria-label="Search the log">
      <label>
        Type
        <select
          value={params.get('type') ?? ''}
          onChange={({ currentTarget }) => change({ type: currentTarget.value })}
        >
          <option value="">any</option>
          {TYPES.map((type) => (
            <option key={type}>{type}</option>
          ))}
        </select>
      </label>
      <Box label="Source" name="source" placeholder="any token" maxLength={255} />
      <Box label="Shard" name="shard" placeholder="all" pattern="\d{1,4}" size={4} />
      {Object.entries({ since: 'Since', until: 'Until' }).map(([name, title]) => (
        <Box key={name} label={`${title} (${zoneText})`} name={name} type="datetime-local" />
      ))}
      {isNarrowed && (
        <button
          type="button"
          class="small"
          onClick={() => change(Object.fromEntries(FILTERS.map((name) => [name, null])))}
        >
          Clear
        </button>
      )}
    </form>
  )
}

type BoxProps = {
  label: string
  name: string
  type?: string
  placeholder?: string
  maxLength?: number
  pattern?: string
  size?: number
}

/** A filter's input. Typed text stays while the list grows, until the filter changes. */
function Box({ label, name, ...input }: BoxProps) {
  const [params, change] = useParams()
  const value = params.get(name) ?? ''
  const box = useRef<HTMLInputElement>(null)
  useLayoutEffect(() => {
    box.current!.value = value
  }, [value])
  const ask = () => change({ [name]: box.current!.value.trim() })
  return (
    <label>
      {label}
      <input ref={box} onChange={ask} {...input} />
    </label>
  )
}

/** Returns the filters as query parameters of the service. */
function toQuery(params: URLSearchParams) {
  const query: Partial<Record<'type' | 'source' | 'shard' | 'from' | 'to', string>> = {}
  const [type, source, shard, since, until] = FILTERS.map((name) => params.get(name))
  if (type) query.type = type
  if (source) query.source = source
  if (shard && /^\d{1,4}$/.test(shard)) query.shard = shard
  const [from, to] = [readTimestamp(since ?? ''), readTimestamp(until ?? '')]
  if (from !== null) query.from = new Date(from).toISOString()
  if (to !== null) query.to = new Date(to).toISOString()
  return query
}
