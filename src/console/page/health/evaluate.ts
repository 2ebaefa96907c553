import type { Failure } from '../api.ts'
import { formatCountOf, formatDuration } from '../format.ts'

export type Grade = 'good' | 'fair' | 'bad'
/** What is so, how bad that is, and what to do about it. */
export type Finding = { grade: Grade; what: string; todo?: string }

type Projection = {
  name: string
  lag_seconds: number
  rebuild: { state: string; drifted_rows: number | null; error: string | null } | null
}

type Replica = { state: string; why: string | null; lag_seconds: number }

export type Observed = {
  failure: Failure | null
  status:
    | {
        queue_length: number
        log_ahead_seconds: number | null
        database: { connections: number; max_connections: number }
        replicas: Replica[]
      }
    | undefined
  projections: { items: Projection[]; parked_events: { count: number } } | undefined
  verification: { state: string; problems: number | null; started_at: string } | undefined
}

/** Seconds that the counters may lag before it is said, and before it is bad. */
const LAG_S = { fair: 5, bad: 60 }
/** Flushes in the queue from which on the log is slower than who posts. */
const QUEUE = 1_000

/** What a person should know, the worst first; that all is well where there is nothing. */
export function evaluate({ failure, status, projections, verification }: Observed): Finding[] {
  const findings: Finding[] = []
  const add = (grade: Grade, what: string, todo: string) => findings.push({ grade, what, todo })
  if (failure?.status === 503) {
    add(
      'bad',
      "The database doesn't answer.",
      'Flushes get a 503 and are sent again by their proxies: nothing that was acknowledged is ' +
        "lost. See that PostgreSQL runs, and the service's log.",
    )
  } else if (failure) {
    add('bad', 'The service is not to be reached.', 'See that it runs, and what is before it.')
  }
  if (status && status.queue_length >= QUEUE) {
    add(
      'fair',
      `${formatCountOf(status.queue_length, 'flush waits', 'flushes wait')} for the log.`,
      'The database takes them slower than they come. Look at its disk; more shards may help.',
    )
  }
  if (status?.log_ahead_seconds) {
    add(
      'bad',
      `The newest event lies ${formatDuration(status.log_ahead_seconds)} in the future.`,
      "The database's clock was ahead when it was recorded, or has been set back since. Until it " +
        'has come there, new events have that time, too, and usage of today leaves them out.',
    )
  }
  const { connections, max_connections } = status?.database ?? {
    connections: 0,
    max_connections: 1,
  }
  if (connections > 0.9 * max_connections) {
    add('fair', 'The database is short of connections.', 'Raise max_connections, or end others.')
  }
  for (const [i, { state, why, lag_seconds }] of (status?.replicas ?? []).entries()) {
    if (state === 'used') continue
    add(
      'fair',
      state === 'behind'
        ? `Replica ${i + 1} is behind by ${formatDuration(lag_seconds)}.`
        : `Replica ${i + 1} is ${state}${why === null ? '' : `: ${why}`}.`,
      'Reads go to the primary meanwhile, and show all that they should.',
    )
  }
  for (const { name, lag_seconds, rebuild } of projections?.items ?? []) {
    if (name.endsWith('counters') && lag_seconds > LAG_S.fair) {
      add(
        lag_seconds > LAG_S.bad ? 'bad' : 'fair',
        `${name} lags by ${formatDuration(lag_seconds)}.`,
        'Reads wait for it. A pass that fails says why in the log of the service.',
      )
    }
    if (rebuild && (rebuild.state === 'failed' || rebuild.state === 'killed')) {
      add(
        'fair',
        `The last rebuild of ${name} ${rebuild.state === 'failed' ? 'failed' : 'was killed'}.`,
        rebuild.error ?? 'Start it again.',
      )
    }
    if (rebuild?.drifted_rows) {
      add(
        'bad',
        `${name} had ${formatCountOf(
          rebuild.drifted_rows,
          'row that was',
          'rows that were',
        )} not what the log says.`,
        'The rebuild has put that right. Find out who changed the database: only its owner can.',
      )
    }
  }
  if (projections && projections.parked_events.count > 0) {
    add(
      'bad',
      `${formatCountOf(projections.parked_events.count, 'event')} could not be folded.`,
      'What is in the log there is in no number. Upgrade the service if a newer one wrote it, ' +
        'then rebuild.',
    )
  }
  if (verification?.problems) {
    add(
      'bad',
      `The last verification found ${formatCountOf(verification.problems, 'problem')}.`,
      'See Proofs for what and where. The log was changed by somebody who owns the database.',
    )
  } else if (verification?.state === 'failed' || verification?.state === 'killed') {
    add('fair', 'The last verification could not be finished.', 'Start it again under Proofs.')
  }
  if (findings.length === 0) {
    return [{ grade: 'good', what: status && projections ? 'All is well.' : 'Looking …' }]
  }
  return findings.sort((a, b) => RANK[a.grade] - RANK[b.grade])
}

const RANK = { bad: 0, fair: 1, good: 2 }
