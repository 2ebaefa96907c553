import { Metrics } from '../../src/http/metrics/metrics.ts'
import { page, table } from './markdown.ts'

type Described = { name: string; help: string; type: string; labelNames: string[] }

/** Returns all metrics of the service and of its process. */
export async function readMetrics(): Promise<Described[]> {
  // Only a scrape uses the sources.
  const sources = { replicas: [] } as unknown as ConstructorParameters<typeof Metrics>[0]
  const { registry } = new Metrics(sources)
  const types = new Map((await registry.getMetricsAsJSON()).map(({ name, type }) => [name, type]))
  return (registry.getMetricsAsArray() as unknown as Described[]).map((metric) => ({
    ...metric,
    type: String(types.get(metric.name)),
  }))
}

/** docs/reference/metrics.md. */
export async function describeMetrics(): Promise<string> {
  const metrics = await readMetrics()
  const own = metrics.filter(({ name }) => name.startsWith('tallybook_'))
  const others = metrics.filter((metric) => !own.includes(metric))
  return page('Metrics', 'the registry of src/http/metrics', [
    '`GET /metrics` serves these in the text format of Prometheus. [Monitoring](../guides/monitoring.md) ' +
      'explains which to alert on.',
    'Every series of a counter exists from the start. A gauge whose value is unknown, such as a ' +
      'lag while the database does not answer, has no sample.',
    '## Of the service',
    listMetrics(own),
    '## Of the process',
    listMetrics(others),
  ])
}

const listMetrics = (metrics: Described[]) =>
  table(
    ['metric', 'type', 'labels', 'meaning'],
    metrics
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, type, labelNames, help }) => [
        `\`${name}\``,
        type,
        labelNames.map((label) => `\`${label}\``).join(', '),
        help,
      ]),
  )
