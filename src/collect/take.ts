import type { Added, Collector } from './collector.ts'
import type { Metrics } from './metrics.ts'
import type { Reading } from './usage-record.ts'

/** The collector that takes the records of all inputs, and the counters of what it took. */
export type Intake = {
  collector: Collector
  metrics: Metrics
  /** Called with the first reason why records of an input are malformed. */
  onMalformed: (input: string, reason: string) => void
}

/** How many records of an input were counted or not, and why the first malformed one is. */
export type Taken = Added & { ignored: number; malformed: number; reason: string }

/** Counts the records among the readings of an input. When this returns, they are on the disk. */
export async function take(
  { collector, metrics, onMalformed }: Intake,
  input: string,
  readings: readonly Reading[],
): Promise<Taken> {
  const records = readings.flatMap((one) => (one.kind === 'record' ? one.record : []))
  const reasons = readings.flatMap((one) => (one.kind === 'malformed' ? one.reason : []))
  const added =
    records.length === 0 ? { counted: 0, duplicates: 0 } : await collector.add(input, records)
  const malformed = reasons.length
  const ignored = readings.length - records.length - malformed
  metrics.note(input, { ...added, ignored, malformed })
  if (malformed > 0) onMalformed(input, reasons[0]!)
  return { ...added, ignored, malformed, reason: reasons[0] ?? '' }
}
