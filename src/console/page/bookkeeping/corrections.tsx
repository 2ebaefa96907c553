import { FolderOpen, Scale } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { api } from '../api.ts'
import { type AsOf, isPast, useAsOf } from '../as-of.ts'
import { formatTime } from '../format.ts'
import { unwrapWithPosition } from '../page-position.ts'
import { Empty, Failed } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Title } from '../parts/title.tsx'
import { To } from '../parts/to.tsx'
import { isAdmin } from '../session.ts'
import { useList } from '../use-list.ts'
import { Adjust } from './adjust.tsx'
import { OpenBalances } from './open-balances.tsx'
import { Recorded, ToEvent } from './recorded.tsx'

type Correction = {
  position: string
  recorded_at: string
  source: string
  reason: string
  reversed: string | null
}

const COLUMNS: Column<Correction>[] = [
  {
    title: 'Event',
    ...{ chars: 12, phoneChars: 9 },
    show: ({ position }) => <ToEvent position={position} />,
  },
  {
    title: 'When',
    ...{ chars: 24, rank: 2 },
    show: ({ recorded_at }) => formatTime(recorded_at, 'moment'),
  },
  { title: 'By', ...{ chars: 16, rank: 3 }, show: ({ source }) => source },
  {
    title: 'What',
    ...{ chars: 22, phoneChars: 14 },
    wraps: true,
    show: ({ reversed }) => (
      <span>
        {reversed === null ? (
          'adjustment'
        ) : (
          <>
            reversal of <ToEvent position={reversed} />
          </>
        )}
      </span>
    ),
  },
  {
    title: 'Reason',
    wraps: true,
    show: ({ reason }) => <span title={reason}>{reason}</span>,
  },
]

/** Lists corrections, the newest first; an admin opens balances and adjusts totals here. */
export function Corrections() {
  const asOf = useAsOf()
  const [dialog, setDialog] = useState<'open' | 'adjust' | null>(null)
  const [recorded, setRecorded] = useState<ComponentChildren>(null)
  const list = useList<Correction>(
    `corrections ${JSON.stringify(asOf)}`,
    async ({ limit, cursor }) => {
      let next = cursor
      for (;;) {
        const query = { limit, ...(next === undefined ? {} : { cursor: next }) }
        const page = await unwrapWithPosition(api.admin.corrections.get({ query }))
        const items = page.items.filter((item) => isIn(asOf, item))
        if (items.length > 0 || page.next_cursor === null) return { ...page, items }
        // All of these are newer than the page shows: read on.
        next = page.next_cursor
      }
    },
    { isLive: !isPast(asOf) },
  )
  const close = (position: string | null | undefined, text: string) => {
    setDialog(null)
    if (!position) return
    setRecorded(
      <Recorded key={position}>
        {text} <ToEvent position={position} />.
      </Recorded>,
    )
  }
  const isChangeable = isAdmin() && !isPast(asOf)
  return (
    <>
      <Title>Corrections</Title>
      {recorded}
      <section class="card" aria-label="All corrections">
        <header>
          <h2>Corrections, newest first</h2>
          <div class="choices">
            <To class="button small" href="/events?type=BalancesOpened">
              Opening balances in the log
            </To>
            {isChangeable && (
              <>
                <button type="button" class="small" onClick={() => setDialog('open')}>
                  <FolderOpen aria-hidden size={14} /> Open balances
                </button>
                <button type="button" class="small" onClick={() => setDialog('adjust')}>
                  <Scale aria-hidden size={14} /> Adjust
                </button>
              </>
            )}
          </div>
        </header>
        {list.failure && <Failed failure={list.failure} onRetry={list.reload} />}
        {list.items?.length === 0 && !list.hasMore ? (
          <Empty title={isPast(asOf) ? 'There was no correction.' : 'No correction yet.'}>
            {isChangeable
              ? 'Reverse an event on its page in the log.'
              : 'Reversals and adjustments are listed here.'}
          </Empty>
        ) : (
          <Table
            caption="Corrections"
            columns={COLUMNS}
            items={list.items}
            keyOf={({ position }) => position}
            isLoading={list.isLoading}
            onEnd={list.loadMore}
          />
        )}
      </section>
      {dialog === 'open' && (
        <OpenBalances
          onClose={(opened) =>
            close(opened?.position, `Opened the balances of ${opened?.rows}: event`)
          }
        />
      )}
      {dialog === 'adjust' && (
        <Adjust onClose={(position) => close(position, 'Adjusted totals: event')} />
      )}
    </>
  )
}

/** True if a page of the past has a correction. Corrections are in shard 0. */
function isIn({ as_of, as_of_position }: AsOf, { position, recorded_at }: Correction): boolean {
  if (as_of !== undefined) return Date.parse(recorded_at) <= Date.parse(as_of)
  const last = /(?:^|,)0\/(-?\d+)/.exec(as_of_position ?? '')?.[1]
  return last === undefined || Number(position.slice(2)) <= Number(last)
}
