import { TOKENS } from '../support/service.ts'
import { ADOPTABLE, externalIdOf, type History } from './history.ts'
import { isRefusal, send, type Traffic } from './traffic.ts'

const RETRY_MS = 50

/**
 * Adopts keys that flushes name, and retires them again, so that later flushes name unknown keys.
 * An adoption is sent until it is answered, at times to several instances at once.
 */
export async function adopt(traffic: Traffic): Promise<void> {
  const { history, random, isOver } = traffic
  while (!isOver()) {
    await Bun.sleep(100 + random.below(300))
    const id = random.pick(ADOPTABLE)!
    if (random.chance(0.4)) {
      await retire(traffic, id)
      continue
    }
    const attempts = random.chance(0.3) ? 3 : 1
    await Promise.all(
      Array.from({ length: attempts }, async () => {
        for (;;) {
          const url = random.pick(traffic.urls())!
          if (await adoptOnce({ ...traffic, history }, url, [id])) return
          await Bun.sleep(RETRY_MS)
        }
      }),
    )
  }
}

/** Adopts all keys that can be, after the traffic: then everything that was posted counts. */
export async function adoptAll(traffic: Pick<Traffic, 'history'>, url: string): Promise<void> {
  while (!(await adoptOnce(traffic, url, ADOPTABLE))) await Bun.sleep(RETRY_MS)
}

/** Returns false if the outcome is unknown. */
async function adoptOnce(
  traffic: Pick<Traffic, 'timeoutMs' | 'onSent'> & { history: History },
  url: string,
  ids: readonly number[],
): Promise<boolean> {
  const { history } = traffic
  const api_keys = ids.map((id) => ({ id, external_id: externalIdOf(id), group_id: 1 }))
  const answer = await send(traffic, `${url}/admin/unknown-keys/adopt`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify({ api_keys }),
  })
  if (answer === null || isRefusal(answer.status)) {
    history.counts.doubts++
    return false
  }
  if (answer.status !== 200) history.violate(`adoption: ${answer.status} ${answer.body}`)
  else if ((JSON.parse(answer.body) as { requests: number }).requests > 0) history.counts.adopted++
  return true
}

async function retire(traffic: Traffic, id: number): Promise<void> {
  const answer = await send(
    traffic,
    `${traffic.random.pick(traffic.urls())}/admin/api-keys/${id}`,
    {
      method: 'DELETE',
      headers: { authorization: `Bearer ${TOKENS.admin}` },
    },
  )
  if (answer === null || isRefusal(answer.status)) return
  if (answer.status !== 204 && answer.status !== 404) {
    traffic.history.violate(`retire ${id}: ${answer.status} ${answer.body}`)
  }
}
