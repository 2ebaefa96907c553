import { TOKENS } from '../support/service.ts'
import {
  ADOPTABLE,
  type Entry,
  externalIdOf,
  type History,
  isAdoptable,
  isKnown,
  KNOWN_KEYS,
  type Sent,
  type SentFlush,
} from './history.ts'
import type { Random } from './random.ts'

/** Default time-out of a request, and the pause between two attempts, in milliseconds. */
const TIMEOUT_MS = 15_000
const RETRY_MS = 50

export type Traffic = {
  /** The current URLs of the instances or of their proxies. */
  urls(): string[]
  history: History
  random: Random
  /** True if no new work may begin; work in progress is completed. */
  isOver(): boolean
  /** How long (ms) a client waits for an answer. */
  timeoutMs?: number
  /** Average milliseconds between two flushes of a poster, or two reads of a watcher. */
  pauseMs?: number
  /** Called when a request is sent; its result is called with the status, 0 if there was none. */
  onSent?: (method: string, url: string) => (status: number) => void
}

export type Answer = { status: number; position: string | null; replayed: boolean; body: string }

/** True if the client should retry: unavailable, or too many requests of this token. */
export const isRefusal = (status: number) => status === 503 || status === 429

/** Sends a request. Returns null without an answer: the outcome is then unknown. */
export async function send(
  { timeoutMs = TIMEOUT_MS, onSent }: Pick<Traffic, 'timeoutMs' | 'onSent'>,
  url: string,
  init: RequestInit,
): Promise<Answer | null> {
  const onEnded = onSent?.(init.method ?? 'GET', url)
  let status = 0
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) })
    const body = await response.text()
    status = response.status
    return {
      status,
      position: response.headers.get('tallybook-position'),
      replayed: response.headers.get('idempotency-replayed') === 'true',
      body,
    }
  } catch {
    return null
  } finally {
    onEnded?.(status)
  }
}

/** Posts flushes, each until it is acknowledged, some repeatedly and some with other entries. */
export async function post(traffic: Traffic, name: string): Promise<void> {
  const { history, random, isOver } = traffic
  for (let number = 0; !isOver(); number++) {
    if (traffic.pauseMs) await Bun.sleep(random.below(2 * traffic.pauseMs))
    const entries = makeEntries(random)
    const requests = requestsOf(entries, isKnown)
    const most = requests + requestsOf(entries, isAdoptable)
    const key = `${name}-${number}`
    const countedAt = makeTime(random)
    const sent: Sent = { key, entries, countedAt, requests, most, ack: null, counted: false }
    history.noteSent(sent)
    const least = keysOf(entries, isKnown)
    const updated = [least, least + keysOf(entries, isAdoptable)] as const
    const delivery = { sent, updated, post: () => postOnce(traffic, key, entries, countedAt) }
    if (random.chance(0.01)) {
      // Abandoned after one attempt, whatever its outcome.
      const answer = await delivery.post()
      if (answer?.status === 200) acknowledge(history, delivery, answer)
      continue
    }
    await deliverAtTimesTwice(traffic, delivery)
    if (random.chance(0.01)) await expectRefused(traffic, sent)
    if (random.chance(0.05)) await expectVisible(traffic, sent)
  }
}

const requestsOf = (entries: Entry[], isCounted: (id: number) => boolean) =>
  entries.reduce((sum, one) => sum + (isCounted(one.api_key_id) ? one.requests : 0), 0)

/** The number of distinct keys with requests. */
const keysOf = (entries: Entry[], isCounted: (id: number) => boolean) => {
  const counted = entries.filter((one) => isCounted(one.api_key_id) && one.requests > 0)
  return new Set(counted.map((one) => one.api_key_id)).size
}

/** A flush, an attempt to post it, and how many rows it updates at least and at most. */
export type Delivery = {
  sent: SentFlush
  post: () => Promise<Answer | null>
  updated: readonly [least: number, most: number]
}

/** Delivers a flush, at times twice at once, and at times again. */
export async function deliverAtTimesTwice(traffic: Traffic, delivery: Delivery): Promise<void> {
  const { random } = traffic
  const times = random.chance(0.02) ? [1, 2] : [1]
  await Promise.all(times.map(() => deliver(traffic, delivery)))
  if (random.chance(0.05)) await deliver(traffic, delivery)
}

/** Retries until a flush is acknowledged; all acknowledgements must be the same. */
async function deliver({ history }: Traffic, delivery: Delivery): Promise<void> {
  for (;;) {
    const answer = await delivery.post()
    if (answer === null || isRefusal(answer.status)) {
      history.counts.doubts++
      await Bun.sleep(RETRY_MS)
      continue
    }
    if (answer.status === 200) acknowledge(history, delivery, answer)
    else history.violate(`${delivery.sent.key}: ${answer.status} ${answer.body}`)
    return
  }
}

function acknowledge(history: History, { sent, updated }: Delivery, answer: Answer): void {
  const { position, body, replayed } = answer
  if (replayed) history.counts.replayed++
  // With two concurrent attempts the one that counted may be answered after its replay, but once.
  else if (sent.counted) history.violate(`${sent.key}: counted a second time`)
  else sent.counted = true
  if (position === null) history.violate(`${sent.key}: no position`)
  if (sent.ack === null) {
    history.noteAck(sent, { position: position ?? '', body })
    const [least, most] = updated
    const { updated: count } = JSON.parse(body) as { updated: number }
    if (count < least || count > most) {
      history.violate(`${sent.key}: ${body} instead of ${least} to ${most} updated`)
    }
    return
  }
  if (position !== sent.ack.position || body !== sent.ack.body) {
    history.violate(`${sent.key}: ${position} ${body}, but first ${JSON.stringify(sent.ack)}`)
  }
}

/** Checks that the same key with other entries, or another time, is refused. */
async function expectRefused(traffic: Traffic, { key, entries, countedAt }: Sent): Promise<void> {
  const others = [...entries, { api_key_id: 1, requests: 1, success_requests: 1 }]
  const { random } = traffic
  const [posted, time] = random.chance(0.5) ? [others, countedAt] : [entries, (countedAt ?? 0) - 1]
  for (;;) {
    const answer = await postOnce(traffic, key, posted, time ?? null)
    if (answer !== null && !isRefusal(answer.status)) {
      if (answer.status === 422) traffic.history.counts.refused++
      else traffic.history.violate(`${key} with other entries: ${answer.status} ${answer.body}`)
      return
    }
    await Bun.sleep(RETRY_MS)
  }
}

/** Checks that a read after the acknowledgement includes the flush. */
async function expectVisible(traffic: Traffic, { key, ack }: Sent): Promise<void> {
  const answer = await read(traffic, `/admin/api-keys/${1 + traffic.random.below(KNOWN_KEYS)}`)
  if (answer?.status !== 200 || ack === null) return
  const [shard = 0, position = 0] = ack.position.split('/').map(Number)
  const seen = parsePositions(answer.position)
  if ((seen[shard] ?? -1) < position) {
    traffic.history.violate(
      `${key} at ${ack.position} is not in a later read of ${answer.position}`,
    )
  }
}

/** Half of the posters number their flushes. */
const sequenceOf = (key: string) =>
  /[02468]-\d+$/.test(key) && { 'tallybook-sequence': key.replace(/-(\d+)$/, '/$1') }

function postOnce(traffic: Traffic, key: string, entries: Entry[], counted_at: number | null) {
  return send(traffic, `${traffic.random.pick(traffic.urls())}/internal/apikey-stats/flush`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${TOKENS.dp}`,
      'idempotency-key': key,
      ...sequenceOf(key),
    },
    body: JSON.stringify({
      ...(counted_at !== null && { counted_at }),
      keys: entries.map((entry) => toPosted(traffic.random, entry)),
    }),
  })
}

/**
 * Names the key of an entry by its id, by its external id, or by both. Attempts may differ in that,
 * but not for unknown keys, whose names no one can compare: odd ones have external ids.
 */
function toPosted(random: Random, entry: Entry): object {
  const { api_key_id, ...counts } = entry
  const api_key = externalIdOf(api_key_id)
  if (!isKnown(api_key_id)) return api_key_id % 2 === 0 ? entry : { api_key, ...counts }
  if (random.chance(0.5)) return entry
  return random.chance(0.2) ? { api_key, ...entry } : { api_key, ...counts }
}

export const read = (traffic: Traffic, path: string) =>
  send(traffic, traffic.random.pick(traffic.urls()) + path, {
    headers: { authorization: `Bearer ${TOKENS.admin}` },
  })

/** The time that a flush states, of the last hours or days, or null: most state none. */
function makeTime(random: Random): number | null {
  if (random.chance(0.7)) return null
  const now = Math.floor(Date.now() / 1_000)
  return now - random.below(random.chance(0.5) ? 7_200 : 30 * 86_400)
}

/** Returns one to forty entries, half of them for three hot keys, some for unknown keys. */
function makeEntries(random: Random): Entry[] {
  return Array.from({ length: 1 + random.below(random.chance(0.1) ? 40 : 4) }, () => {
    const requests = random.below(50)
    const api_key_id = random.chance(0.5)
      ? 1 + random.below(3)
      : random.chance(0.03)
        ? 900 + random.below(10)
        : random.chance(0.1)
          ? random.pick(ADOPTABLE)!
          : 1 + random.below(KNOWN_KEYS)
    return { api_key_id, requests, success_requests: random.below(requests + 1) }
  })
}

/** Polls the summary and checks that it counts all acknowledged and at most all sent requests. */
export async function watch(traffic: Traffic): Promise<void> {
  const { history, random, isOver } = traffic
  let last: number[] = []
  while (!isOver()) {
    await Bun.sleep(random.below(2 * (traffic.pauseMs ?? 20)))
    const acked = history.ackedRequests
    const answer = await read(traffic, '/admin/apikey-stats/summary')
    if (answer === null || isRefusal(answer.status)) continue
    if (answer.status !== 200) {
      history.violate(`summary: ${answer.status} ${answer.body}`)
      continue
    }
    history.counts.reads++
    // Whatever was reversed meanwhile may be missing.
    const least = acked - history.reversingRequests
    const { total_requests: total } = JSON.parse(answer.body) as { total_requests: number }
    if (total < least || total > history.sentRequests) {
      history.violate(`summary: ${total}, acknowledged ${least}, sent ${history.sentRequests}`)
    }
    const positions = parsePositions(answer.position)
    if (positions.some((position, shard) => position < (last[shard] ?? -1))) {
      history.violate(`summary: ${answer.position} after ${last}`)
    }
    last = positions
  }
}

/** Reads a shard's signed tree head from one instance, or null if it doesn't serve one. */
export async function readCheckpoint(traffic: Traffic, shard: number): Promise<string | null> {
  const answer = await read(traffic, `/audit/log/${shard}/checkpoint`)
  if (answer?.status === 200) return answer.body
  if (answer !== null && !isRefusal(answer.status)) {
    traffic.history.violate(`checkpoint: ${answer.status} ${answer.body}`)
  }
  return null
}

/** Parses `0/41,1/7` into positions by shard. */
function parsePositions(text: string | null): number[] {
  const positions: number[] = []
  for (const part of (text ?? '').split(',')) {
    const [shard, position] = part.split('/').map(Number)
    if (shard !== undefined && position !== undefined) positions[shard] = position
  }
  return positions
}
