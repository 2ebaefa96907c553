import { decodeEvent } from '../../../src/events/event.ts'
import type { LineEvent } from '../../../src/events/event-line.ts'
import type { DividedRequest, UsageRequest } from '../../../src/proofs/verifier/sources/source.ts'

export type UsageItem = { from: string; to: string } & Record<string, unknown>
export type UsagePage = {
  bucket: string
  tz: string
  from: string
  to: string
  items: UsageItem[]
  total: Record<string, unknown>
}

/** Months are not asked for here. */
const STEP_MS = { hour: 3_600_000, day: 86_400_000, month: Number.NaN }

/** Returns the page of usage that an honest service serves for these events. */
export function showUsage(events: LineEvent[], request: UsageRequest): UsagePage {
  const { kind, key, bucket, from, to } = request
  const step = STEP_MS[bucket]
  const sums = Array.from({ length: (to - from) / step }, () => [0, 0, 0])
  const total = [0, 0, 0]
  for (const event of events) {
    const index = Math.floor((Date.parse(event.recordedAt) - from) / step)
    for (const [counted, id, values] of countsOf(event)) {
      const isInScope =
        kind === 'all' ? counted === 'provider_groups' : counted === kind && id === key
      if (!isInScope || !sums[index]) continue
      for (const [i, value] of values.entries()) {
        sums[index][i]! += value
        total[i]! += value
      }
    }
  }
  const format = (ms: number) => new Date(ms).toISOString().replace('.000Z', '+00:00')
  const show = kind === 'keys' ? showKey : showRated
  const items = sums.map((values, i) => ({
    from: format(from + i * step),
    to: format(from + (i + 1) * step),
    ...show(values),
  }))
  return { bucket, tz: 'UTC', from: format(from), to: format(to), items, total: show(total) }
}

/** Returns the page of usage by dimension, which none of these events has. */
export function showDivided(events: LineEvent[], request: DividedRequest) {
  const { items, total } = showUsage(events, { ...request, bucket: 'day' })
  const all: Record<string, unknown>[] = request.isWhole ? [total] : items
  const isUsed = (item: Record<string, unknown>) =>
    Object.values(item).some((value) => typeof value === 'number' && value > 0)
  const dimensions = { [request.by]: null }
  return { items: all.filter(isUsed).map((item) => ({ ...item, dimensions })), total }
}

/** Usage of a provider group or API key, as a page shows it. */
export function showRated([total = 0, success = 0]: readonly number[]) {
  const rate = (count: number) => (total === 0 ? 0 : count / total)
  return {
    total_requests: total,
    success_requests: success,
    failure_requests: total - success,
    success_rate: rate(success),
    failure_rate: rate(total - success),
  }
}

const showKey = ([request_count = 0, used_tokens = 0, quota_used = 0]: readonly number[]) => ({
  request_count,
  used_tokens,
  quota_used,
})

/** Decodes an event; null if it can't be read. */
export function decode({ type, version, payload }: LineEvent) {
  try {
    return decodeEvent(type, version, payload)
  } catch {
    return null
  }
}

function* countsOf(line: LineEvent) {
  const event = decode(line)
  if (event?.type === 'ApiKeyStatsFlushed') {
    // A single group run, as `MemoryLog.flush` writes it.
    const { groups, ids, requests, successes } = event.data
    for (const [i, id] of ids.entries()) {
      const values = [requests[i]!, successes[i]!]
      yield ['api_keys', id, values] as const
      yield ['provider_groups', groups[0], values] as const
    }
  }
  if (event?.type === 'KeyStatsFlushed') {
    const { hashes, requests, tokens, quota_tracked } = event.data
    for (const [i, hash] of hashes.entries()) {
      const quota = quota_tracked[i] ? tokens[i]! : 0
      yield ['keys', hash, [requests[i]!, tokens[i]!, quota]] as const
    }
  }
}
