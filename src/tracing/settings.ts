/** The protocols that traces are exported with. */
const PROTOCOLS = ['http/protobuf', 'http/json'] as const

/** The samplers of OpenTelemetry's specification that need no further package. */
const SAMPLERS = ['always_on', 'always_off', 'traceidratio'] as const

const isSampler = (name: string) => (SAMPLERS as readonly string[]).includes(name)

/** What the environment says about traces, besides what OpenTelemetry's exporters read from it. */
export type TraceSettings = {
  protocol: (typeof PROTOCOLS)[number]
  /** Decides on requests whose `traceparent` does not, or on all of them. */
  sampler: { kind: (typeof SAMPLERS)[number]; ratio: number; isParentBased: boolean }
  /** The bounds of the queue of finished spans, and its times in milliseconds. */
  queue: { spans: number; batch: number; delayMs: number; timeoutMs: number }
  /** Values that can't be used and are ignored, as OpenTelemetry demands: one sentence each. */
  problems: string[]
}

/**
 * Reads the environment variables `OTEL_*` about traces. Returns null if it names no collector, or
 * turns traces off.
 */
export function readTraceSettings(env: Record<string, string | undefined>): TraceSettings | null {
  const text = (name: string) => env[name]?.trim() || null
  const endpoint = text('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') ?? text('OTEL_EXPORTER_OTLP_ENDPOINT')
  if (endpoint === null || text('OTEL_SDK_DISABLED')?.toLowerCase() === 'true') return null
  if (text('OTEL_TRACES_EXPORTER') === 'none') return null
  const problems: string[] = []
  const choose = <Value extends string>(name: string, value: string | null, of: readonly Value[]) =>
    of.find((known) => known === (value ?? of[0])) ??
    ignore(`${name} must be one of ${of.join(', ')}, not "${value}".`, of[0]!)
  const integer = (name: string, fallback: number) => {
    const value = text(name)
    if (value === null || /^[1-9]\d{0,8}$/.test(value)) return Number(value ?? fallback)
    return ignore(`${name} must be a whole number above 0, not "${value}".`, fallback)
  }
  const ignore = <Value>(problem: string, fallback: Value): Value => {
    problems.push(problem)
    return fallback
  }
  const [protocolName, samplerName] = ['OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_TRACES_SAMPLER']
  const tracesProtocol = 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'
  const protocol = text(tracesProtocol) ?? text(protocolName)
  const sampler = text(samplerName) ?? 'parentbased_always_on'
  const arg = text('OTEL_TRACES_SAMPLER_ARG')
  const ratio = Number(arg ?? 1)
  const isRatio = ratio >= 0 && ratio <= 1
  const spans = integer('OTEL_BSP_MAX_QUEUE_SIZE', 2_048)
  return {
    protocol: choose(text(tracesProtocol) ? tracesProtocol : protocolName, protocol, PROTOCOLS),
    sampler: {
      kind: choose(samplerName, sampler.replace(/^parentbased_/, ''), SAMPLERS),
      ratio: isRatio
        ? ratio
        : ignore(`OTEL_TRACES_SAMPLER_ARG must be from 0 to 1, not "${arg}".`, 1),
      isParentBased: sampler.startsWith('parentbased_') || !isSampler(sampler),
    },
    queue: {
      spans,
      batch: Math.min(integer('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512), spans),
      delayMs: integer('OTEL_BSP_SCHEDULE_DELAY', 5_000),
      timeoutMs: integer('OTEL_BSP_EXPORT_TIMEOUT', 30_000),
    },
    problems,
  }
}
