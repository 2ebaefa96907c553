import { api, unwrap } from '../api.ts'
import { isPast, useAsOf } from '../as-of.ts'
import { formatCount, formatDuration, formatTime } from '../format.ts'
import { Empty, Failed } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Title } from '../parts/title.tsx'
import { To } from '../parts/to.tsx'
import { useList } from '../use-list.ts'
import { State } from './state.tsx'

type Source = Awaited<ReturnType<typeof load>>['items'][number]

const load = async (query: { limit: string; cursor?: string }) =>
  (await unwrap(api.admin.sources.get({ query }))).value

const COLUMNS: Column<Source>[] = [
  {
    title: 'Source',
    wraps: true,
    show: ({ name }) => <To href={`/sources/${encodeURIComponent(name)}`}>{name}</To>,
  },
  { title: 'State', ...{ chars: 14, phoneChars: 11 }, show: (source) => <State source={source} /> },
  {
    title: 'Missing',
    ...{ align: 'end', chars: 12, phoneChars: 9 },
    show: ({ missing_flushes }) => (
      <span class={missing_flushes > 0 ? 'badge fair' : 'muted'}>
        {formatCount(missing_flushes)}
      </span>
    ),
  },
  {
    title: 'Flushes',
    ...{ align: 'end', chars: 14, rank: 2 },
    show: ({ flushes }) => formatCount(flushes),
  },
  {
    title: 'Usual interval',
    ...{ align: 'end', chars: 16, rank: 3 },
    show: ({ usual_interval }) =>
      usual_interval === null ? (
        <span class="muted">not known</span>
      ) : (
        formatDuration(usual_interval)
      ),
  },
  {
    title: 'Last flush',
    ...{ align: 'end', chars: 24, rank: 3 },
    show: ({ last_flush }) => formatTime(last_flush, 'moment'),
  },
]

/** Lists who posts flushes, who has fallen silent, and how many flushes are missing. */
export function Sources() {
  return (
    <>
      <Title>Sources</Title>
      {isPast(useAsOf()) ? (
        <Empty title="Sources are not listed as of the past.">
          Choose now at the top of the page.
        </Empty>
      ) : (
        <List />
      )}
    </>
  )
}

function List() {
  // A source falls silent without any growth of the log.
  const list = useList('sources', load, { always: true })
  return (
    <section class="card" aria-label="All sources">
      <header>
        <h2>Who posts flushes</h2>
      </header>
      {list.failure && <Failed failure={list.failure} onRetry={list.reload} />}
      {list.items?.length === 0 ? (
        <Empty title="Nothing was posted yet.">
          A source is the name of a token. It appears with its first flush.
        </Empty>
      ) : (
        <Table
          caption="Sources"
          columns={COLUMNS}
          items={list.items}
          keyOf={({ name }) => name}
          isLoading={list.isLoading}
          onEnd={list.loadMore}
        />
      )}
    </section>
  )
}
