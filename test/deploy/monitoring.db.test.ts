import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ALERTS } from '../../deploy/monitoring/alerts.ts'
import { ROWS } from '../../deploy/monitoring/panels.ts'
import { readMetrics } from '../reference/metrics.ts'
import { hasPeer } from '../support/extended.ts'
import { freePort } from '../support/free-port.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

const RULES = join(import.meta.dir, '../../deploy/monitoring/rules.yaml')

const hasPromtool = hasPeer('promtool')
const hasPrometheus = hasPeer('prometheus')

const queries = ROWS.flatMap(({ panels }) => panels.flatMap((panel) => panel.queries))

const metricsIn = (expr: string) => expr.match(/\b(?:tallybook|process|nodejs)_\w+/g) ?? []
const withoutSuffix = (metric: string) => metric.replace(/_bucket$/, '')

test('alerts and panels use metrics that exist', async () => {
  const known = new Set((await readMetrics()).map(({ name }) => name))
  const used = [...ALERTS, ...queries].flatMap(({ expr }) => metricsIn(expr).map(withoutSuffix))
  expect(used.filter((metric) => !known.has(metric))).toEqual([])
})

test('only counters are taken for counters: a gauge that falls would seem to have begun anew', async () => {
  const types = new Map((await readMetrics()).map(({ name, type }) => [name, type]))
  const counted = [...ALERTS, ...queries].flatMap(({ expr }) =>
    [...expr.matchAll(/\b(?:increase|rate|irate)\((\w+)/g)].map(([, metric]) => metric!),
  )
  expect(counted.length).toBeGreaterThan(10)
  const kinds = counted.map((metric) => [metric, types.get(withoutSuffix(metric))])
  expect(kinds.filter(([, type]) => type !== 'counter' && type !== 'histogram')).toEqual([])
})

test('every metric of the service has a panel', async () => {
  const shown = new Set(queries.flatMap(({ expr }) => metricsIn(expr).map(withoutSuffix)))
  const own = (await readMetrics()).filter(({ name }) => name.startsWith('tallybook_'))
  const missing = own.filter(({ name, help }) => !shown.has(name) && !help.startsWith('Deprecated'))
  expect(missing.map(({ name }) => name)).toEqual([])
})

/** Series for which one alert fires, after the time that it waits, with these labels. */
type Case = { alert: string; series: Record<string, string>; labels?: Record<string, string> }

const UP = { 'tallybook_database_up{job="t",instance="a"}': '1x130' }
const outcome = (name: string) => ({ [`tallybook_flushes_total{outcome="${name}"}`]: '0+10x130' })

const CASES: Case[] = [
  { alert: 'TallybookAbsent', series: { other: '1x130' } },
  { alert: 'TallybookDatabaseDown', series: { tallybook_database_up: '0x130' } },
  {
    alert: 'TallybookShardDown',
    series: { 'tallybook_shard_up{shard="2"}': '0x130' },
    labels: { shard: '2' },
  },
  {
    alert: 'TallybookFlushesFailed',
    series: outcome('failed'),
    labels: { outcome: 'failed' },
  },
  {
    alert: 'TallybookFlushesUnavailable',
    series: outcome('unavailable'),
    labels: { outcome: 'unavailable' },
  },
  { alert: 'TallybookParkedEvents', series: { tallybook_parked_events: '1x130' } },
  { alert: 'TallybookVerificationProblems', series: { tallybook_verify_problems: '1x130' } },
  {
    alert: 'TallybookTreeHeadsStopped',
    series: {
      'tallybook_log_position{shard="1"}': '0+10x130',
      'tallybook_tree_size{shard="1"}': '5x130',
    },
    labels: { shard: '1' },
  },
  {
    alert: 'TallybookAppendsSlow',
    series: {
      'tallybook_append_duration_seconds_bucket{le="1"}': '0+90x130',
      'tallybook_append_duration_seconds_bucket{le="2.5"}': '0+100x130',
      'tallybook_append_duration_seconds_bucket{le="+Inf"}': '0+100x130',
    },
  },
  {
    alert: 'TallybookQueueLong',
    series: {
      'tallybook_queue_length{job="t",instance="a"}': '16001x130',
      'tallybook_shard_up{job="t",instance="a",shard="0"}': '1x130',
      'tallybook_shard_up{job="t",instance="a",shard="1"}': '1x130',
    },
    labels: { job: 't', instance: 'a' },
  },
  {
    alert: 'TallybookProjectionBehind',
    series: {
      'tallybook_projection_lag_seconds{projection="account"}': '11x130',
      'tallybook_projection_lag_seconds{projection="usage"}': '90x130',
      'tallybook_projection_lag_seconds{projection="snapshots"}': '9000x130',
    },
    labels: { projection: 'account' },
  },
  {
    alert: 'TallybookProjectionDrifted',
    series: { 'tallybook_projection_drifted_rows{projection="usage"}': '1x130' },
    labels: { projection: 'usage' },
  },
  {
    alert: 'TallybookVerificationOld',
    series: { tallybook_verify_timestamp_seconds: '-180000x130' },
  },
  {
    alert: 'TallybookInstanceWithoutHeartbeat',
    series: {
      'tallybook_database_up{instance="b"}': '1x130',
      'tallybook_instances{instance="b"}': '1x130',
    },
  },
  { alert: 'TallybookClockWrong', series: { tallybook_log_ahead_seconds: '61x130' } },
  {
    alert: 'TallybookReplicaUnused',
    series: { 'tallybook_replica_used{replica="r"}': '0x130' },
    labels: { replica: 'r' },
  },
  {
    alert: 'TallybookReplicaBehind',
    series: { 'tallybook_replica_lag_seconds{replica="r"}': '6x130' },
    labels: { replica: 'r' },
  },
  { alert: 'TallybookSourceSilent', series: { tallybook_sources_silent: '1x130' } },
  { alert: 'TallybookFlushesMissing', series: { tallybook_missing_flushes: '1x130' } },
  { alert: 'TallybookWebhookFailing', series: { tallybook_webhooks_failing: '1x130' } },
  { alert: 'TallybookWebhookGivenUp', series: { tallybook_webhook_given_up: '0+1x130' } },
  {
    alert: 'TallybookFlushesInvalid',
    series: outcome('key_reused'),
    labels: { outcome: 'key_reused' },
  },
  {
    alert: 'TallybookTokensRefused',
    series: outcome('unauthorized'),
    labels: { outcome: 'unauthorized' },
  },
  {
    alert: 'TallybookRegistrationLimited',
    series: { tallybook_registration_limited_total: '0+1x130' },
  },
  {
    alert: 'TallybookArchiveUnreadable',
    series: { tallybook_archive_unreadable_segments: '1x130' },
  },
  { alert: 'TallybookArchiveFailing', series: { tallybook_archive_failing: '1x130' } },
  { alert: 'TallybookDimensionOthers', series: { tallybook_dimension_others_total: '0+1x130' } },
  {
    alert: 'TallybookFileDescriptors',
    series: {
      'process_open_fds{job="t",instance="a"}': '81x130',
      'process_max_fds{job="t",instance="a"}': '100x130',
    },
    labels: { job: 't', instance: 'a' },
  },
]

/** Series of a service in which all is well. */
const HEALTHY: Record<string, string> = {
  ...UP,
  'tallybook_shard_up{job="t",instance="a",shard="0"}': '1x130',
  ...outcome('appended'),
  'tallybook_flushes_total{outcome="failed"}': '3x130',
  tallybook_parked_events: '0x130',
  tallybook_verify_problems: '0x130',
  tallybook_verify_timestamp_seconds: '0+60x130',
  'tallybook_log_position{shard="0"}': '0+10x130',
  'tallybook_tree_size{shard="0"}': '1+10x130',
  'tallybook_queue_length{job="t",instance="a"}': '7999x130',
  'tallybook_projection_lag_seconds{projection="usage"}': '90x130',
  tallybook_instances: '1x130',
  tallybook_sources_silent: '0x130',
  tallybook_missing_flushes: '0x130',
  tallybook_webhooks_failing: '0x130',
  tallybook_archive_unreadable_segments: '0x130',
  tallybook_archive_failing: '0x130',
  // An old one was deleted.
  tallybook_webhook_given_up: '3x112 2x17',
  'process_open_fds{job="other",instance="x"}': '99x130',
  'process_max_fds{job="other",instance="x"}': '100x130',
}

/** What promtool evaluates: after two hours, these alerts fire, each with its labels. */
const toTest = (series: Record<string, string>, alerts: { name: string; fires: object[] }[]) => ({
  interval: '1m',
  input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
  alert_rule_test: alerts.map(({ name, fires }) => ({
    ...{ eval_time: '2h', alertname: name, exp_alerts: fires },
  })),
})

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tallybook-monitoring-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe.skipIf(!hasPromtool)('promtool', () => {
  const run = (...args: string[]) => {
    const { success, stdout, stderr } = Bun.spawnSync(['promtool', ...args])
    return success ? 'passed' : `${stdout}${stderr}`
  }

  test('accepts the rules', () => {
    expect(run('check', 'rules', RULES)).toBe('passed')
  })

  test('lets each alert fire, and none while all is well', async () => {
    expect(CASES.map(({ alert }) => alert).sort()).toEqual(ALERTS.map(({ name }) => name).sort())
    const severities = new Map(ALERTS.map(({ name, severity }) => [name, severity]))
    const firing = CASES.map(({ alert, series, labels }) => {
      const fires = [{ exp_labels: { severity: severities.get(alert), ...labels } }]
      const all = alert === 'TallybookAbsent' ? series : { ...UP, ...series }
      return toTest(all, [{ name: alert, fires }])
    })
    const quiet = toTest(
      HEALTHY,
      ALERTS.map(({ name }) => ({ name, fires: [] })),
    )
    const path = join(folder, 'rules.test.yaml')
    // Annotations are prose, so they are left out of the comparison.
    const rules = (await Bun.file(RULES).text()).replaceAll(
      /^ +annotations:\n(?: {10,}.*\n)+/gm,
      '',
    )
    await writeFile(join(folder, 'rules.yaml'), rules)
    const tests = { rule_files: ['rules.yaml'], tests: [...firing, quiet] }
    await writeFile(path, Bun.YAML.stringify(tests, null, 2))
    expect(run('test', 'rules', path)).toBe('passed')
  })
})

describe.skipIf(!hasPrometheus)('a Prometheus that scrapes a service', () => {
  let service: TestService
  let prometheus: Bun.Subprocess
  let url: string

  beforeAll(async () => {
    service = await startTestService()
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [RULES],
      scrape_configs: [
        { job_name: 'tallybook', static_configs: [{ targets: [new URL(service.url).host] }] },
      ],
    }
    await writeFile(join(folder, 'prometheus.yaml'), Bun.YAML.stringify(config, null, 2))
    prometheus = Bun.spawn(
      [
        ...['prometheus', `--config.file=${join(folder, 'prometheus.yaml')}`],
        ...[
          `--web.listen-address=127.0.0.1:${port}`,
          `--storage.tsdb.path=${join(folder, 'data')}`,
        ],
      ],
      { stdout: 'ignore', stderr: 'ignore' },
    )
  })
  afterAll(async () => {
    prometheus?.kill()
    await prometheus?.exited
    await service?.stop()
  })

  const ask = async (path: string) => {
    const response = await fetch(url + path).catch(() => null)
    return response?.ok ? ((await response.json()) as { status: string; data: never }) : null
  }

  test('fires no alert, and answers every query of the dashboard', async () => {
    const query = (expr: string) => ask(`/api/v1/query?query=${encodeURIComponent(expr)}`)
    // A rate takes two scrapes.
    const isScraped = 'count_over_time(tallybook_database_up[1m]) > 2'
    await until(async () => {
      const answer = await query(isScraped)
      return answer !== null && (answer.data as { result: unknown[] }).result?.length > 0
    })
    const answers = await Promise.all(
      queries.map(async ({ expr }) => {
        const text = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m')
        return { expr, status: (await query(text))?.status }
      }),
    )
    expect(answers.filter(({ status }) => status !== 'success')).toEqual([])
    const alerts = await ask('/api/v1/alerts')
    expect(alerts!.data).toEqual({ alerts: [] } as never)
  })
})
