import { TOKENS } from '../support/service.ts'
import { type KeyEntry, type KeySent, type SentReset, TOKEN_KEYS } from './history.ts'
import type { Random } from './random.ts'
import { deliverAtTimesTwice, isRefusal, send, type Traffic } from './traffic.ts'

const RETRY_MS = 50

const PERIODS = ['day', 'week', 'month', 'none'] as const
const ZONES = ['UTC', 'Asia/Kathmandu', 'Pacific/Kiritimati'] as const
const LIMITS = [-1, 100, 100_000]

/** The token keys as they are at first: with each kind of period. */
export const TOKEN_KEY_ROWS = TOKEN_KEYS.map((token_hash, i) => ({
  ...{ token_hash, quota_limit: LIMITS[i % LIMITS.length]! },
  ...{ quota_period: ['none', ...PERIODS][i]!, quota_tz: ZONES[i % ZONES.length]! },
}))

/** Posts flushes of token keys, each until it is acknowledged. */
export async function postTokens(traffic: Traffic, name: string): Promise<void> {
  const { history, random, isOver } = traffic
  for (let number = 0; !isOver(); number++) {
    await Bun.sleep(random.below(traffic.pauseMs ?? 20))
    const key = `${name}-${number}`
    const keyEntries = makeEntries(random)
    const sent: KeySent = { key, keyEntries, requests: 0, most: 0, ack: null, counted: false }
    history.keySent.push(sent)
    const { length } = keyEntries
    const post = () =>
      send(traffic, `${random.pick(traffic.urls())}/internal/stats/flush`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKENS.dp}`, 'idempotency-key': key },
        body: JSON.stringify({ keys: keyEntries }),
      })
    await deliverAtTimesTwice(traffic, { sent, post, updated: [length, length] })
  }
}

const makeEntries = (random: Random): KeyEntry[] =>
  Array.from({ length: 1 + random.below(3) }, () => ({
    ...{ token_hash: random.pick(TOKEN_KEYS)!, requests: 1 + random.below(3) },
    tokens: random.below(20),
  }))

/**
 * Resets quotas, each until it is acknowledged: at times with several attempts at once on different
 * instances. Now and then changes the limits of keys, and the periods of all but the first.
 */
export async function resetQuotas(traffic: Traffic, name: string): Promise<void> {
  const { history, random, isOver } = traffic
  for (let number = 0; !isOver(); number++) {
    await Bun.sleep(100 + random.below(300))
    const hash = random.pick(TOKEN_KEYS)!
    if (random.chance(0.3)) {
      await changeQuota(traffic, hash)
      continue
    }
    const reset: SentReset = { key: `${name}-${number}`, hash, position: null }
    history.resets.push(reset)
    const attempts = random.chance(0.3) ? 3 : 1
    await Promise.all(Array.from({ length: attempts }, () => sendReset(traffic, reset)))
  }
}

async function sendReset(traffic: Traffic, reset: SentReset): Promise<void> {
  const { history, random } = traffic
  const { key, hash } = reset
  for (;;) {
    const url = `${random.pick(traffic.urls())}/admin/keys/${hash}/quota-reset`
    const answer = await send(traffic, url, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKENS.admin}`, 'idempotency-key': key },
      body: '{"reason":"new contract"}',
    })
    if (answer === null || isRefusal(answer.status)) {
      history.counts.doubts++
      await Bun.sleep(RETRY_MS)
      continue
    }
    if (answer.status !== 201) history.violate(`${key}: ${answer.status} ${answer.body}`)
    else if (reset.position === null) history.counts.reset++
    reset.position ??= answer.position
    if (reset.position !== answer.position) {
      history.violate(`${key}: reset at ${answer.position}, but first at ${reset.position}`)
    }
    return
  }
}

async function changeQuota(traffic: Traffic, token_hash: string): Promise<void> {
  const { history, random } = traffic
  const period = { quota_period: random.pick(PERIODS)!, quota_tz: random.pick(ZONES)! }
  const answer = await send(traffic, `${random.pick(traffic.urls())}/admin/catalog`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify({
      keys: [
        {
          ...{ token_hash, quota_limit: random.pick(LIMITS)! },
          ...(token_hash !== TOKEN_KEYS[0] && period),
        },
      ],
    }),
  })
  if (answer === null || isRefusal(answer.status)) return
  history.counts.changes++
  if (answer.status !== 200) history.violate(`catalog: ${answer.status} ${answer.body}`)
}
