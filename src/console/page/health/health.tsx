import { CircleAlert, CircleCheck, TriangleAlert } from 'lucide-preact'
import { api, unwrap } from '../api.ts'
import { formatBytes, formatCount, formatCountOf, formatDuration, formatTime } from '../format.ts'
import { Failed } from '../parts/states.tsx'
import { Title } from '../parts/title.tsx'
import { useRead } from '../use-read.ts'
import { evaluate, type Finding } from './evaluate.ts'
import { Projections } from './projections.tsx'

/** Poll interval (ms), whether or not the log grows. */
const EVERY_MS = 2_000

/** Shows the state of the service: what is wrong, and what to do about it. */
export function Health() {
  const status = useRead('status', async () => (await unwrap(api.admin.status.get())).value, {
    everyMs: EVERY_MS,
    always: true,
  })
  const projections = useRead(
    'projections',
    async () => (await unwrap(api.admin.projections.get())).value,
    { everyMs: EVERY_MS, always: true },
  )
  const verifications = useRead(
    'newest verification',
    async () => (await unwrap(api.admin.verifications.get({ query: { limit: '1' } }))).value,
    { everyMs: 10_000, always: true },
  )
  const failure = status.failure ?? projections.failure
  const findings = evaluate({
    failure,
    status: status.value,
    projections: projections.value,
    verification: verifications.value?.items[0],
  })
  const { value } = status
  return (
    <>
      <Title>Health</Title>
      <Findings findings={findings} />
      {failure && failure.status !== 503 && <Failed failure={failure} onRetry={status.reload} />}
      <dl class="totals facts-of">
        <Fact
          title="Version"
          value={value?.version}
          more={value && `since ${formatTime(value.started_at, 'minute')}`}
        />
        <Fact
          title="Instances"
          value={value && formatCount(value.instances.filter(({ live }) => live).length)}
          more={value && describeSilent(value.instances)}
        />
        <Fact
          title="Queue"
          value={value && formatCount(value.queue_length)}
          more="flushes waiting to be appended"
        />
        <Fact
          title="Database"
          value={value && `PostgreSQL ${value.database.version}`}
          more={value && describeDatabase(value.database)}
        />
        {value && value.replicas.length > 0 && (
          <Fact
            title="Replicas"
            value={formatCount(value.replicas.filter(({ state }) => state === 'used').length)}
            more={`of ${formatCount(value.replicas.length)} serve reads`}
          />
        )}
        <Fact
          title="Log"
          value={projections.value && countEvents(projections.value.items[0]?.head)}
          more={value && describeLog(value.signed)}
        />
        <Fact
          title="Lag"
          value={projections.value && formatDuration(lagOf(projections.value.items))}
          more="of the counters, behind the log"
        />
      </dl>
      <Projections status={projections.value} onChange={projections.reload} />
    </>
  )
}

type FactProps = { title: string; value: string | undefined; more: string | undefined }

const Fact = ({ title, value, more }: FactProps) => (
  <div class="card total">
    <dt>{title}</dt>
    <dd>
      <b>{value ?? '…'}</b>
      <span class="share">{more}</span>
    </dd>
  </div>
)

const ICONS = { good: CircleCheck, fair: TriangleAlert, bad: CircleAlert }

const Findings = ({ findings }: { findings: Finding[] }) => (
  <ul class="findings" aria-live="polite">
    {findings.map(({ grade, what, todo }) => {
      const Icon = ICONS[grade]
      return (
        <li key={what} class={`notice ${grade}`}>
          <Icon aria-hidden size={18} />
          <div>
            <p class="title">{what}</p>
            {todo && <p>{todo}</p>}
          </div>
        </li>
      )
    })}
  </ul>
)

const describeSilent = (instances: { live: boolean }[]) => {
  const silent = instances.filter(({ live }) => !live).length
  return silent === 0 ? 'on this database, all live' : `${silent} no longer responding`
}

type Database = { size_bytes: number | null; connections: number; max_connections: number }

const describeDatabase = ({ size_bytes, connections, max_connections }: Database) =>
  `${size_bytes === null ? 'size unknown' : formatBytes(size_bytes)}, ` +
  `${connections} of ${formatCountOf(max_connections, 'connection')}`

const describeLog = (signed: number[]) =>
  `events in ${formatCountOf(signed.length, 'shard')}, ` + `${formatCount(sum(signed))} signed`

/** Returns the number of events up to a head: 50 for `0/41,1/7`. */
const countEvents = (head = '') =>
  formatCount(sum(head.split(',').map((part) => Number(part.split('/')[1] ?? -1) + 1)))

const sum = (numbers: number[]) => numbers.reduce((all, number) => all + number, 0)

/** Returns the lag (s) of the counters; usage and snapshots lag by design. */
const lagOf = (items: { name: string; lag_seconds: number }[]) =>
  Math.max(
    0,
    ...items.filter(({ name }) => name.endsWith('counters')).map(({ lag_seconds }) => lag_seconds),
  )
