import { formatCount, formatTime } from '../format.ts'
import { Empty } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { To } from '../parts/to.tsx'
import { describeSubject } from './describe.ts'
import type { Delivery } from './load.ts'
import { describeOutcome } from './outcome.ts'

const COLUMNS: Column<Delivery>[] = [
  {
    title: 'Event',
    phoneChars: 14,
    wraps: true,
    show: ({ position, type, rule, subject }) => (
      <To href={`/events/${position}`}>
        {describeSubject(subject)} {type === 'RuleCrossed' ? 'crossed' : 'cleared'} {rule}
      </To>
    ),
  },
  {
    title: 'Webhook',
    ...{ chars: 14, phoneChars: 9 },
    wraps: true,
    show: ({ webhook }) => webhook,
  },
  { title: 'State', ...{ chars: 14, phoneChars: 11 }, show: State },
  {
    title: 'Attempts',
    ...{ align: 'end', chars: 12, rank: 2 },
    show: ({ attempts }) => formatCount(attempts),
  },
  {
    title: 'Last attempt',
    ...{ chars: 20, rank: 2 },
    show: ({ last_attempt_at, status, error }) =>
      last_attempt_at !== null && (
        <span title={formatTime(last_attempt_at)}>{describeOutcome({ status, error })}</span>
      ),
  },
  {
    title: 'Next attempt',
    ...{ align: 'end', chars: 22, rank: 3 },
    show: ({ next_attempt_at }) => next_attempt_at && formatTime(next_attempt_at, 'moment'),
  },
]

function State({ state }: Delivery) {
  if (state === 'delivered') return <span class="badge good">delivered</span>
  return state === 'given_up' ? (
    <span class="badge bad">given up</span>
  ) : (
    <span class="badge fair">pending</span>
  )
}

/** Lists the newest deliveries. */
export function Deliveries({ items }: { items: Delivery[] }) {
  return (
    <section class="card" aria-label="Deliveries">
      <header>
        <h2>Newest deliveries</h2>
      </header>
      {items.length === 0 ? (
        <Empty title="Nothing was sent yet." />
      ) : (
        <Table
          caption="Deliveries"
          columns={COLUMNS}
          items={items}
          keyOf={({ webhook, position }) => `${webhook} ${position}`}
        />
      )}
    </section>
  )
}
