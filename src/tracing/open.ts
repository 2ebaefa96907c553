import { setGlobalErrorHandler } from '@opentelemetry/core'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { Logger } from 'pino'
import { version } from '../../package.json'
import { withinOr } from '../platform/async/deadline.ts'
import { BoundedQueue, type DropReason } from './export.ts'
import type { TraceSettings } from './settings.ts'
import { SpanTracer } from './spans.ts'

/** Characters of a value that clients choose, such as a user agent: many spans wait at once. */
const MAX_VALUE = 1_024

/** Milliseconds that a stopping service waits for the collector to take the last spans. */
const CLOSE_MS = 3_000

/** Traces that are recorded and exported. */
export type Tracing = {
  tracer: SpanTracer
  /** Called for spans that were not exported. */
  onDropped: (spans: number, reason: DropReason) => void
  /** Exports what was recorded, within seconds. */
  close(): Promise<void>
}

/** Starts to record and export traces. The exporters read `OTEL_EXPORTER_OTLP_*` themselves. */
export async function openTracing(settings: TraceSettings, logger: Logger): Promise<Tracing> {
  for (const problem of settings.problems) logger.warn(`traces: ${problem}`)
  // Failed exports are counted, and logged below.
  setGlobalErrorHandler(() => {})
  let isFailing = false
  const queue = new BoundedQueue(await createExporter(settings), settings.queue, {
    onExported: () => {
      if (isFailing) logger.info('traces: exported again')
      isFailing = false
    },
    onDropped: (spans, reason, error) => {
      tracing.onDropped(spans, reason)
      if (reason !== 'export_failed' || isFailing) return
      isFailing = true
      logger.warn({ reason: error?.message }, 'traces: not exported')
    },
  })
  const provider = new TracerProvider({
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          'service.name': 'tallybook',
          'service.version': version,
          'service.instance.id': crypto.randomUUID(),
        }),
      )
      .merge(detectResources({ detectors: [envDetector] })),
    sampler: createSampler(settings.sampler),
    spanLimits: { attributeValueLengthLimit: MAX_VALUE },
    spanProcessors: [queue],
  })
  const tracing: Tracing = {
    tracer: new SpanTracer(provider.getTracer('tallybook', version)),
    onDropped: () => {},
    close: () =>
      withinOr(
        CLOSE_MS,
        provider.shutdown().catch(() => {}),
        undefined,
      ),
  }
  return tracing
}

async function createExporter({ protocol }: TraceSettings) {
  const { OTLPTraceExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto')
  return new OTLPTraceExporter()
}

function createSampler({ kind, ratio, isParentBased }: TraceSettings['sampler']): Sampler {
  const root =
    kind === 'traceidratio'
      ? new TraceIdRatioBasedSampler(ratio)
      : kind === 'always_off'
        ? new AlwaysOffSampler()
        : new AlwaysOnSampler()
  return isParentBased ? new ParentBasedSampler({ root }) : root
}
