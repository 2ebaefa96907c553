import { useRef, useState } from 'preact/hooks'
import type { Exact } from '../../../events/exact.ts'
import { api, unwrap } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { formatCount, formatTime } from '../format.ts'
import { saveCsv } from '../parts/csv.ts'
import { Empty, Failed } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { To } from '../parts/to.tsx'
import type { Scope } from '../usage/usage.tsx'
import { useList } from '../use-list.ts'

type Counted = Record<string, Exact>
type Step = {
  shard: number
  position: number
  type: string
  recorded_at: string
  source: string
  /** When the flush was counted, if it states that. */
  counted_at?: string
  counted: Counted
  running: Counted
}

/** What an act is called; every other event that counts is a flush. */
const ACTS: Record<string, string> = {
  BalancesOpened: 'opening balance',
  TotalsAdjusted: 'adjustment',
  EventReversed: 'reversal',
  UnknownKeysAdopted: 'adoption',
  QuotaReset: 'quota reset',
}

/** Lists the events behind a number: what each added, and the running total. */
export function Explained({ scope }: { scope: Scope }) {
  const [isOpen, setOpen] = useState(false)
  return (
    <details
      class="card explained"
      onToggle={(event) => setOpen((event.currentTarget as HTMLDetailsElement).open)}
    >
      <summary>
        <h2>The events behind the number</h2>
      </summary>
      {isOpen && <Steps scope={scope} />}
    </details>
  )
}

function Steps({ scope }: { scope: Scope }) {
  const asOf = useAsOf()
  const query = { ...scope, ...asOf }
  // The oldest come first: while there are more to load, the rows shown do not change.
  const hasMore = useRef(false)
  const list = useList<Step>(
    `explain ${JSON.stringify(query)}`,
    async ({ limit, cursor }) => {
      const after = cursor === undefined ? {} : { after: cursor }
      const { value } = await unwrap(
        api.audit.explain.get({ query: { ...query, limit, ...after } }),
      )
      return { items: value.items as Step[], next_cursor: value.next_after }
    },
    { isLive: !isPast(asOf) && !hasMore.current },
  )
  hasMore.current = list.hasMore
  const isTokens = scope.token_hash !== undefined
  const second = isTokens ? 'tokens' : 'success_requests'
  const columns: Column<Step>[] = [
    {
      title: 'Event',
      show: ({ shard, position }) => (
        <To href={`/events/${shard}/${position}`}>{`${shard}/${position}`}</To>
      ),
    },
    { title: 'What', rank: 2, chars: 20, show: ({ type }) => <What type={type} /> },
    { title: 'When', rank: 2, chars: 24, show: (step) => formatTime(step.recorded_at, 'moment') },
    ...(list.items?.some((step) => step.counted_at !== undefined) ? [COUNTED] : []),
    { title: 'From', rank: 3, show: (step) => step.source },
    count('Requests', ({ counted }) => counted.requests),
    count(isTokens ? 'Tokens' : 'Successes', ({ counted }) => counted[second]),
    count('Running total', ({ running }) => running[isTokens ? 'tokens' : 'requests']),
  ]
  const save = () =>
    saveCsv('events', [
      [
        ...['shard', 'position', 'type', 'recorded_at', 'counted_at', 'source'],
        ...['requests', second, 'running_requests'],
      ],
      ...(list.items ?? []).map((step) => [
        ...[step.shard, step.position, step.type],
        ...[step.recorded_at, step.counted_at ?? '', step.source],
        ...[step.counted.requests!, step.counted[second]!, step.running.requests!],
      ]),
    ])
  return (
    <>
      {list.failure && <Failed failure={list.failure} onRetry={list.reload} />}
      {list.items?.length === 0 && !list.hasMore ? (
        <Empty title="No event has counted anything here yet." />
      ) : (
        <>
          <button type="button" class="small" onClick={save}>
            Save these as CSV
          </button>
          <Table
            caption="Events, oldest first"
            columns={columns}
            items={list.items}
            keyOf={({ shard, position }) => `${shard}/${position}`}
            isLoading={list.isLoading}
            onEnd={list.loadMore}
          />
        </>
      )}
    </>
  )
}

/** Shown if there is a flush that states when it was counted. */
const COUNTED: Column<Step> = {
  ...{ title: 'Counted', rank: 3, chars: 24 },
  show: ({ counted_at }) => counted_at && formatTime(counted_at, 'moment'),
}

const What = ({ type }: { type: string }) =>
  type in ACTS ? <span class="badge">{ACTS[type]}</span> : <span class="muted">flush</span>

const count = (title: string, read: (step: Step) => Exact | undefined): Column<Step> => ({
  ...{ title, align: 'end' },
  show: (step) => formatCount(read(step) ?? 0),
})
