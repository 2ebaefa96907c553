import type { Context } from '@opentelemetry/api'
import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import {
  BatchSpanProcessor,
  type ReadableSpan,
  type Span,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace'
import type { TraceSettings } from './settings.ts'

/** Why finished spans were not exported: the queue was full, or the collector took none. */
export type DropReason = 'queue_full' | 'export_failed'

export type QueueEvents = {
  onExported: (spans: number) => void
  onDropped: (spans: number, reason: DropReason, error?: Error) => void
}

/**
 * Exports finished spans in batches, and counts those that it has to drop. It holds a bounded
 * number of spans: while that many wait or are on their way, new ones are dropped.
 */
export class BoundedQueue implements SpanProcessor {
  readonly #batches: BatchSpanProcessor
  /** Spans that wait or are on their way. */
  #pending = 0
  readonly #maxSpans: number

  constructor(
    exporter: SpanExporter,
    { spans, batch, delayMs, timeoutMs }: TraceSettings['queue'],
    private readonly events: QueueEvents,
  ) {
    this.#maxSpans = spans
    this.#batches = new BatchSpanProcessor({
      exporter: {
        export: (finished, onResult) =>
          exporter.export(finished, (result) => {
            this.#settle(finished.length, result)
            onResult(result)
          }),
        shutdown: () => exporter.shutdown(),
      },
      maxQueueSize: spans,
      maxExportBatchSize: batch,
      scheduledDelayMillis: delayMs,
      exportTimeoutMillis: timeoutMs,
    })
  }

  onStart(span: Span, context: Context): void {
    this.#batches.onStart(span, context)
  }

  onEnd(span: ReadableSpan): void {
    if (this.#pending < this.#maxSpans) {
      this.#pending++
      this.#batches.onEnd(span)
    } else this.events.onDropped(1, 'queue_full')
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush()
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown()
  }

  #settle(spans: number, { code, error }: ExportResult): void {
    this.#pending -= spans
    if (code === ExportResultCode.SUCCESS) this.events.onExported(spans)
    else this.events.onDropped(spans, 'export_failed', error)
  }
}
