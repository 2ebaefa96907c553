import { Play } from 'lucide-preact'
import { useState } from 'preact/hooks'
import { api, Failure, unwrap } from '../api.ts'
import { formatCountOf, formatTime } from '../format.ts'
import { Bone, Empty, Failed } from '../parts/states.tsx'
import { To } from '../parts/to.tsx'
import { isAdmin } from '../session.ts'
import { useRead } from '../use-read.ts'

const load = async () =>
  (await unwrap(api.admin.verifications.get({ query: { limit: '10' } }))).value.items

type Verification = Awaited<ReturnType<typeof load>>[number]

/** Lists the last verifications of the whole database, and what they found. */
export function Verifications() {
  const { value, failure, reload } = useRead('verifications', load, {
    everyMs: 2_000,
    always: true,
  })
  const [refused, setRefused] = useState<Failure | null>(null)
  const start = async () => {
    setRefused(null)
    try {
      await unwrap(api.admin.verifications.post())
      await reload()
    } catch (error) {
      setRefused(Failure.from(error))
    }
  }
  const isRunning = value?.[0]?.state === 'running'
  return (
    <section class="card" aria-label="Verifications">
      <header>
        <h2>Verifications of the database</h2>
        {isAdmin() && (
          <button type="button" class="small" onClick={start} disabled={isRunning}>
            <Play aria-hidden size={14} /> {isRunning ? 'Running' : 'Verify now'}
          </button>
        )}
      </header>
      {(refused ?? failure) && <Failed failure={(refused ?? failure)!} onRetry={reload} />}
      {value?.length === 0 && (
        <Empty title="No verifications yet.">
          A verification reads every event and recomputes every number, while the service runs.
        </Empty>
      )}
      <ul class="projections">
        {value === undefined ? (
          <li>
            <Bone width="30ch" />
          </li>
        ) : (
          value.map((one) => <Row key={one.id} verification={one} />)
        )}
      </ul>
    </section>
  )
}

function Row({ verification }: { verification: Verification }) {
  const { id, state, started_at, finished_at, events, problems, report } = verification
  return (
    <li>
      <div class="what">
        <h3>
          #{id}{' '}
          <span class={`badge ${gradeOf(verification)}`}>
            {state === 'finished'
              ? problems === 0
                ? 'no problems'
                : formatCountOf(problems ?? 0, 'problem')
              : state}
          </span>
        </h3>
        <p class="muted">
          {formatTime(started_at)}
          {finished_at && ` – ${formatTime(finished_at)}`}
          {events !== null && ` · ${formatCountOf(events, 'event')}`}
        </p>
        {state === 'running' && <progress aria-label="Verification" />}
        {report && report.first.length > 0 && (
          <details>
            <summary>Problems found</summary>
            <ul>
              {report.first.map((problem) => (
                <li key={`${problem.check} ${problem.at}`}>
                  <b>{problem.check}</b> at <At at={problem.at} />: expected{' '}
                  <code class="break">{problem.expected}</code>, found{' '}
                  <code class="break">{problem.found}</code>
                </li>
              ))}
            </ul>
          </details>
        )}
      </div>
    </li>
  )
}

const At = ({ at }: { at: string }) =>
  /^\d+\/\d+$/.test(at) ? <To href={`/events/${at}`}>{at}</To> : <code>{at}</code>

const gradeOf = ({ state, problems }: Verification) =>
  state === 'finished' ? (problems === 0 ? 'good' : 'bad') : state === 'running' ? '' : 'fair'
