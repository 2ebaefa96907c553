import type { Failure } from '../api.ts'
import { formatCountOf, formatDuration } from '../format.ts'

/** The severity of a finding. */
export type Grade = 'good' | 'fair' | 'bad'
/** An observation, its severity, and what to do about it. */
export type Finding = { grade: Grade; what: string; todo?: string }

type Projection = {
  name: string
  lag_seconds: number
  rebuild: { state: string; drifted_rows: number | null; error: string | null } | null
}

type Replica = { state: string; why: string | null; lag_seconds: number }

/** The state of the service as the health page reads it; undefined: not read yet. */
export type Observed = {
  failure: Failure | null
  status:
    | {
        queue_length: number
        log_ahead_seconds: number | null
        registration: { registered_today: number; per_day: number } | null
        sources: { silent: number; missing_flushes: number }
        rules: { crossed: number }
        webhooks: { failing: number; given_up: number }
        database: { connections: number; max_connections: number }
        replicas: Replica[]
      }
    | undefined
  projections: { items: Projection[]; parked_events: { count: number } } | undefined
  verification: { state: string; problems: number | null; started_at: string } | undefined
}

/** Lag (s) of the counters that is acceptable, and that is not yet bad. */
const LAG_S = { fair: 5, bad: 60 }
/** Length of the queue (flushes) from which the database is slower than the clients. */
const QUEUE_WARNING = 1_000

/** Returns what an operator should know, worst first, or one finding that all is well. */
export function evaluate({ failure, status, projections, verification }: Observed): Finding[] {
  const findings: Finding[] = []
  const add = (grade: Grade, what: string, todo: string) => findings.push({ grade, what, todo })
  if (failure?.status === 503) {
    add(
      'bad',
      'The database does not answer.',
      'Flushes are answered with 503 and gateways send them again: nothing that was acknowledged ' +
        'is lost. Check that PostgreSQL is running, and read the service log.',
    )
  } else if (failure) {
    add(
      'bad',
      'The service is unreachable.',
      'Check that it is running, and check any proxy in front of it.',
    )
  }
  if (status && status.queue_length >= QUEUE_WARNING) {
    add(
      'fair',
      `${formatCountOf(status.queue_length, 'flush is', 'flushes are')} waiting to be appended.`,
      'They arrive faster than the database stores them. Check its disk; more shards may help.',
    )
  }
  if (status?.log_ahead_seconds) {
    add(
      'bad',
      `The newest event is ${formatDuration(status.log_ahead_seconds)} in the future.`,
      'The clock of the database was ahead when it was recorded, or has been set back since. ' +
        "Until the clock catches up, new events get the same time, and today's usage omits them.",
    )
  }
  const { registered_today = 0, per_day = 1 } = status?.registration ?? {}
  if (registered_today >= per_day) {
    add(
      'fair',
      `${formatCountOf(registered_today, 'key was', 'keys were')} registered by flushes today.`,
      'That is the limit: entries for other unknown keys count nothing until midnight UTC. See ' +
        'the catalog changes in the log. If these keys are genuine, raise ' +
        'TALLYBOOK_REGISTER_PER_DAY; if they are invented, revoke the token that sends them.',
    )
  }
  const { silent = 0, missing_flushes = 0 } = status?.sources ?? {}
  if (silent > 0) {
    add(
      'fair',
      `${formatCountOf(silent, 'source is', 'sources are')} silent.`,
      'Nothing has come from these tokens for longer than usual. Check that the proxies run and ' +
        'reach this service. The page of sources names them.',
    )
  }
  if (missing_flushes > 0) {
    add(
      'fair',
      `${formatCountOf(missing_flushes, 'flush is', 'flushes are')} missing.`,
      'Later ones of the same senders have arrived. If they stay missing, a proxy has lost them. ' +
        'The page of sources has their numbers.',
    )
  }
  const { crossed = 0 } = status?.rules ?? {}
  if (crossed > 0) {
    add(
      'fair',
      `Rules are crossed in ${formatCountOf(crossed, 'place')}.`,
      'The rules of the catalog say that this should not happen. The page of webhooks names it.',
    )
  }
  const { failing = 0, given_up = 0 } = status?.webhooks ?? {}
  if (failing > 0 || given_up > 0) {
    add(
      'fair',
      failing > 0
        ? `${formatCountOf(failing, 'webhook does', 'webhooks do')} not take what is sent.`
        : `${formatCountOf(given_up, 'delivery was', 'deliveries were')} given up.`,
      'The page of webhooks has the last status or error of each. Events that were not delivered ' +
        'are in the log.',
    )
  }
  const { connections, max_connections } = status?.database ?? {
    connections: 0,
    max_connections: 1,
  }
  if (connections > 0.9 * max_connections) {
    add(
      'fair',
      'The database is running out of connections.',
      'Raise max_connections, or close other connections.',
    )
  }
  for (const [i, { state, why, lag_seconds }] of (status?.replicas ?? []).entries()) {
    if (state === 'used') continue
    add(
      'fair',
      state === 'behind'
        ? `Replica ${i + 1} is ${formatDuration(lag_seconds)} behind.`
        : `Replica ${i + 1} is ${state}${why === null ? '' : `: ${why}`}.`,
      'Until it recovers, reads go to the primary and are complete.',
    )
  }
  for (const { name, lag_seconds, rebuild } of projections?.items ?? []) {
    if (name.endsWith('counters') && lag_seconds > LAG_S.fair) {
      add(
        lag_seconds > LAG_S.bad ? 'bad' : 'fair',
        `${name} lags by ${formatDuration(lag_seconds)}.`,
        'Reads wait for it. Check the service log for failed batches.',
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
        `${name} had ${formatCountOf(rebuild.drifted_rows, 'row')} that did not match the log.`,
        'The rebuild corrected that. Find out how they were changed: only the owner of the ' +
          'database can.',
      )
    }
  }
  if (projections && projections.parked_events.count > 0) {
    add(
      'bad',
      `${formatCountOf(projections.parked_events.count, 'event')} could not be folded.`,
      'These events are in the log but not in any total. If a newer release wrote them, upgrade, ' +
        'then rebuild.',
    )
  }
  if (verification?.problems) {
    add(
      'bad',
      `The last verification found ${formatCountOf(verification.problems, 'problem')}.`,
      'See Proofs for the details. Only the owner of the database can change stored events.',
    )
  } else if (verification?.state === 'failed' || verification?.state === 'killed') {
    add('fair', 'The last verification did not finish.', 'Start it again under Proofs.')
  }
  if (findings.length === 0) {
    return [{ grade: 'good', what: status && projections ? 'All is well.' : 'Checking …' }]
  }
  return findings.sort((a, b) => RANK[a.grade] - RANK[b.grade])
}

const RANK = { bad: 0, fair: 1, good: 2 }
