import { RotateCcw } from 'lucide-preact'
import { useState } from 'preact/hooks'
import { api, unwrap } from '../api.ts'
import { formatCount, formatCountOf, formatDuration, formatTime } from '../format.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Bone } from '../parts/states.tsx'
import { To } from '../parts/to.tsx'
import { isAdmin } from '../session.ts'

type Status = Awaited<ReturnType<typeof load>>
type Projection = Status['items'][number]

const load = async () => (await unwrap(api.admin.projections.get())).value

type Props = { status: Status | undefined; onChange: () => Promise<void> }

/** Lists the projections: their lag, and their last rebuild with its progress and result. */
export function Projections({ status, onChange }: Props) {
  const [chosen, setChosen] = useState<string | null>(null)
  const submit = async () => {
    await unwrap(api.admin.projections({ name: chosen! }).rebuild.post())
  }
  return (
    <section class="card" aria-label="Projections">
      <header>
        <h2>Projections</h2>
      </header>
      <ul class="projections">
        {status ? (
          status.items.map((projection) => (
            <Row
              key={projection.name}
              projection={projection}
              onRebuild={() => setChosen(projection.name)}
            />
          ))
        ) : (
          <li>
            <Bone width="30ch" />
          </li>
        )}
      </ul>
      {status && status.parked_events.count > 0 && <Parked parked={status.parked_events} />}
      {chosen && (
        <Dialog
          title={`Rebuild ${chosen}?`}
          action="Rebuild"
          onSubmit={submit}
          onDone={onChange}
          onClose={() => setChosen(null)}
        >
          <p>
            A new generation is computed from the first event, alongside the live one. It replaces
            the live one once it has caught up, and lists the rows that differed.
          </p>
        </Dialog>
      )}
    </section>
  )
}

function Row({ projection, onRebuild }: { projection: Projection; onRebuild: () => void }) {
  const { name, generation, lag_events, lag_seconds, last_rebuild, rebuild } = projection
  const isRunning = rebuild?.state === 'folding' || rebuild?.state === 'comparing'
  return (
    <li>
      <div class="what">
        <h3>{name}</h3>
        <p class="muted">
          {lag_events === 0
            ? 'reflects the whole log'
            : `${formatCountOf(lag_events, 'event')} behind, ${formatDuration(lag_seconds)}`}
          {' · '}generation {generation}
          {last_rebuild && ` · rebuilt ${formatTime(last_rebuild, 'minute')}`}
        </p>
        {rebuild && <Rebuild rebuild={rebuild} />}
      </div>
      {isAdmin() && !isRunning && (
        <button type="button" class="small" onClick={onRebuild} aria-label={`Rebuild ${name}`}>
          <RotateCcw aria-hidden size={14} /> Rebuild
        </button>
      )}
    </li>
  )
}

function Rebuild({ rebuild }: { rebuild: NonNullable<Projection['rebuild']> }) {
  const { state, events_folded, events_total, drifted_rows, drift, error } = rebuild
  switch (state) {
    case 'folding':
    case 'comparing':
      return (
        <p>
          <progress
            value={events_folded}
            max={Math.max(events_total, 1)}
            aria-label="Progress of the rebuild"
          />{' '}
          {state === 'comparing'
            ? 'comparing row by row'
            : `${formatCount(events_folded)} of ${formatCountOf(events_total, 'event')} folded`}
        </p>
      )
    case 'live':
      return (
        <>
          <p class="muted">
            The last rebuild folded {formatCountOf(events_folded, 'event')};{' '}
            {drifted_rows === null
              ? 'rows were not compared'
              : drifted_rows === 0
                ? 'every row matched the log'
                : `${formatCountOf(drifted_rows, 'row')} did not match the log`}
            .
          </p>
          {drift.length > 0 && (
            <details>
              <summary>Rows that differed</summary>
              <pre>{JSON.stringify(drift, null, 2)}</pre>
            </details>
          )}
        </>
      )
    default:
      return (
        <p class="bad">
          The last rebuild {state === 'killed' ? 'was killed' : state}
          {error && `: ${error}`}
        </p>
      )
  }
}

function Parked({ parked }: { parked: Status['parked_events'] }) {
  return (
    <details>
      <summary>{formatCountOf(parked.count, 'event')} that could not be folded</summary>
      <ul>
        {parked.events.map(({ shard, position, reason }) => (
          <li key={`${shard}/${position}`}>
            <To href={`/events/${shard}/${position}`}>{`${shard}/${position}`}</To> {reason}
          </li>
        ))}
      </ul>
    </details>
  )
}
