import { api, unwrap } from '../api.ts'
import { formatCount, formatCountOf, formatDuration, formatTime } from '../format.ts'
import { Missing } from '../parts/missing.tsx'
import { Empty, Failed } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Title } from '../parts/title.tsx'
import { useRead } from '../use-read.ts'
import { State } from './state.tsx'

type Source = Awaited<ReturnType<typeof load>>
type Epoch = Source['epochs'][number]

const load = async (name: string) => (await unwrap(api.admin.sources({ name }).get())).value

/** Ranges that a row shows; a title has room for no more. */
const MAX_RANGES = 20

const COLUMNS: Column<Epoch>[] = [
  { title: 'Epoch', wraps: true, show: ({ epoch }) => <span title={epoch}>{epoch}</span> },
  {
    title: 'Missing',
    ...{ chars: 30, phoneChars: 16 },
    wraps: true,
    show: ({ missing }) =>
      missing.length === 0 ? <span class="muted">none</span> : <Ranges ranges={missing} />,
  },
  {
    title: 'Next number',
    ...{ align: 'end', chars: 14, rank: 2 },
    show: ({ next }) => formatCount(next),
  },
  {
    title: 'Last flush',
    ...{ align: 'end', chars: 28, rank: 3 },
    show: ({ last_flush, ended }) =>
      `${formatTime(last_flush, 'moment')}${ended ? ', shut down' : ''}`,
  },
]

/** Shows one source: what it has posted, and what is missing in each epoch. */
export function Source({ name }: { name: string }) {
  const { value, failure, isLoading, reload } = useRead(`source ${name}`, () => load(name), {
    always: true,
  })
  if (failure?.status === 404) {
    return <Missing what={`flush of ${name}`} href="/sources" place="all sources" />
  }
  return (
    <>
      <header class="entity">
        <div>
          <p class="kind">Source</p>
          <Title>{name}</Title>
          <p class="facts">
            {value && (
              <>
                <State source={value} /> <span>{describe(value)}</span>
              </>
            )}
          </p>
        </div>
      </header>
      {failure && <Failed failure={failure} onRetry={reload} />}
      <section class="card" aria-label="Epochs">
        <header>
          <h2>Missing flushes by epoch</h2>
        </header>
        {value?.epochs.length === 0 ? (
          <Empty title="Its flushes have no numbers.">
            What is missing is known of flushes with the header Tallybook-Sequence.
          </Empty>
        ) : (
          <Table
            caption="Epochs"
            columns={COLUMNS}
            items={value?.epochs}
            keyOf={({ epoch }) => epoch}
            isLoading={isLoading}
          />
        )}
      </section>
    </>
  )
}

const describe = ({ flushes, api_keys, keys, last_flush, usual_interval }: Source) =>
  [
    formatCountOf(flushes, 'flush', 'flushes'),
    formatCountOf(BigInt(api_keys.requests) + BigInt(keys.requests), 'request'),
    `the last one ${formatTime(last_flush, 'moment')}`,
    ...(usual_interval === null ? [] : [`usually every ${formatDuration(usual_interval)}`]),
  ].join(' · ')

/** Shows `3–4, 7`. */
function Ranges({ ranges }: { ranges: number[][] }) {
  const shown = ranges
    .slice(0, MAX_RANGES)
    .map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`))
  const more = ranges.length - shown.length
  const text = `${shown.join(', ')}${more > 0 ? ` and ${formatCountOf(more, 'range')} more` : ''}`
  return <span title={text}>{text}</span>
}
