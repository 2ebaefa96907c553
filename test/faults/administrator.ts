import { TOKENS } from '../support/service.ts'
import { externalIdOf, GROUPS, KNOWN_KEYS } from './history.ts'
import type { Random } from './random.ts'
import { isRefusal, send, type Traffic } from './traffic.ts'

/** Moves keys between groups, renames them, and creates and retires one that no one posts. */
export async function administer(traffic: Traffic): Promise<void> {
  const { history, random, isOver } = traffic
  while (!isOver()) {
    await Bun.sleep(100 + random.below(300))
    const headers = { authorization: `Bearer ${TOKENS.admin}` }
    const url = random.pick(traffic.urls())
    const answer = random.chance(0.3)
      ? await send(traffic, `${url}/admin/api-keys/90`, { method: 'DELETE', headers })
      : await send(traffic, `${url}/admin/catalog`, {
          method: 'PUT',
          headers,
          body: JSON.stringify({
            api_keys: [
              {
                ...pickRow(random),
                group_id: 1 + random.below(GROUPS),
                name: `name ${random.below(1_000)}`,
              },
            ],
          }),
        })
    if (answer === null || isRefusal(answer.status)) continue
    history.counts.changes++
    if (answer.status >= 500 || answer.status === 400) {
      history.violate(`catalog: ${answer.status} ${answer.body}`)
    }
  }
}

/** Names the key that no one posts, or a known one by its id or its external id. */
function pickRow(random: Random): object {
  if (random.chance(0.2)) return { id: 90 }
  const id = 1 + random.below(KNOWN_KEYS)
  return random.chance(0.5) ? { id } : { external_id: externalIdOf(id) }
}
