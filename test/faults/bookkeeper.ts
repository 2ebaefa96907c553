import { TOKENS } from '../support/service.ts'
import type { SentFlush } from './history.ts'
import { type Answer, isRefusal, send, type Traffic } from './traffic.ts'

const RETRY_MS = 50

/**
 * Reverses acknowledged flushes, each until the outcome is known: at times with several attempts at
 * once on different instances, and at times again under another key.
 */
export async function keepBooks(traffic: Traffic, name: string): Promise<void> {
  const { history, random, isOver } = traffic
  for (let number = 0; !isOver(); number++) {
    await Bun.sleep(100 + random.below(300))
    const flushes: readonly SentFlush[] = random.chance(0.3) ? history.keySent : history.sent
    const sent = random.pick(flushes)
    if (sent === undefined || sent.ack === null) continue
    history.noteReversing(sent)
    const key = `${name}-${number}`
    const attempts = random.chance(0.3) ? [key, key, `${key}-other`] : [key]
    const statuses = await Promise.all(attempts.map((one) => reverse(traffic, sent, one)))
    // The last attempt may have another key.
    if (new Set(statuses.slice(0, 2)).size > 1) {
      history.violate(`${sent.key}: ${statuses} for attempts with one key`)
    }
  }
}

/** Retries until a reversal has a definite outcome; returns its status. */
async function reverse(traffic: Traffic, sent: SentFlush, key: string): Promise<number> {
  const { history } = traffic
  for (;;) {
    const answer = await reverseOnce(traffic, sent.ack!.position, key)
    if (answer === null || isRefusal(answer.status)) {
      history.counts.doubts++
      await Bun.sleep(RETRY_MS)
      continue
    }
    const { status, body, position } = answer
    if (status === 201) {
      history.counts.reversed++
      sent.reversal ??= position
      if (sent.reversal !== position) {
        history.violate(`${sent.key}: reversed at ${position}, but first at ${sent.reversal}`)
      }
    } else if (!refusalsOf(sent).some((refusal) => body.includes(refusal))) {
      history.violate(`${sent.key}: reversal answered ${status} ${body}`)
    }
    return status
  }
}

/**
 * Why a reversal may be refused: nothing of it counts yet, or it was reversed. Token keys that are
 * posted are all known.
 */
function refusalsOf(sent: SentFlush): string[] {
  if ('keyEntries' in sent) return ['already reversed']
  const { requests, most } = sent
  return [requests === 0 && 'counts nothing', most > 0 && 'already reversed'].filter(
    (refusal) => refusal !== false,
  )
}

function reverseOnce(traffic: Traffic, reversed: string, key: string): Promise<Answer | null> {
  return send(traffic, `${traffic.random.pick(traffic.urls())}/admin/corrections`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKENS.admin}`, 'idempotency-key': key },
    body: JSON.stringify({ reverse: reversed, reason: `${key} found it wrong` }),
  })
}
