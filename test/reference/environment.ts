import { VARIABLES } from '../../src/service/variables.ts'
import { page, table } from './markdown.ts'

/** The variables of OpenTelemetry that src/tracing and its exporters read, and their values. */
const TRACE_VARIABLES = [
  ['`OTEL_SDK_DISABLED`', '`true` turns traces off'],
  ['`OTEL_TRACES_EXPORTER`', '`otlp`, or `none` to turn traces off'],
  ['`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`', 'URL of the collector'],
  [
    '`OTEL_EXPORTER_OTLP_PROTOCOL`, `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`',
    '`http/protobuf` or `http/json`; not `grpc`',
  ],
  [
    '`OTEL_EXPORTER_OTLP_HEADERS`, `_TIMEOUT`, `_COMPRESSION`, `_CERTIFICATE`, ' +
      '`_CLIENT_CERTIFICATE`, `_CLIENT_KEY`, and the same with `_TRACES_`',
    'as in the specification',
  ],
  ['`OTEL_SERVICE_NAME`', 'default `tallybook`'],
  ['`OTEL_RESOURCE_ATTRIBUTES`', 'attributes of the resource'],
  [
    '`OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`',
    '`always_on`, `always_off`, `traceidratio`, and the same with `parentbased_`; 0 to 1',
  ],
  [
    '`OTEL_BSP_MAX_QUEUE_SIZE`, `_MAX_EXPORT_BATCH_SIZE`, `_SCHEDULE_DELAY`, `_EXPORT_TIMEOUT`',
    'bounds of the queue of finished spans; milliseconds',
  ],
]

/** docs/reference/environment.md. */
export function describeEnvironment(): string {
  const rows = Object.entries(VARIABLES).map(([name, { default: fallback, meaning }]) => [
    `\`${name}\``,
    meaning,
    fallback === null ? 'unset' : `\`${fallback}\``,
  ])
  return page('Environment variables', 'src/service/variables.ts', [
    'The service and its commands read these when they start. A value that cannot be used stops ' +
      'the start, with a message that names each such variable and the reason. An empty value ' +
      'counts as unset.',
    table(['variable', 'meaning', 'default'], rows),
    '## Traces',
    '[Traces](../guides/monitoring.md#traces) are recorded if `OTEL_EXPORTER_OTLP_ENDPOINT` or ' +
      '`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` names a collector. These variables of OpenTelemetry ' +
      'have the meaning and the defaults of its specification. A value that cannot be used is ' +
      'logged and ignored.',
    table(['variable', 'values'], TRACE_VARIABLES),
    'More about [URLs and poolers](../guides/external-postgresql.md#urls), ' +
      '[the base path and trusted proxies](../guides/proxies.md), ' +
      '[replicas](../guides/replicas.md), [shards](../explanation/scaling.md#shards), ' +
      '[unknown tokens](../explanation/security.md#who-may-do-what) and ' +
      '[the name of the log](../explanation/transparency.md).',
  ])
}
